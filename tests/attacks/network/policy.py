"""Opens sockets of every family, and asks for a name."""

import errno
import socket

from honest import attempt, rebalance

__all__ = ["rebalance"]

unknown = 0
families = [family for family in socket.AddressFamily if family != socket.AF_UNSPEC]
for family in dict.fromkeys([*map(int, families), 0, 15, 16, 17, 29, 38, 40, 44]):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
        try:
            socket.socket(family, kind).close()
        except PermissionError:
            continue
        except OSError as error:
            # The kernel without such a family, or a filter that says so.
            if error.errno in (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EINVAL):
                unknown += 1
                continue
        attempt(f"socket {family} {kind}", lambda family=family, kind=kind: socket.socket(family, kind))
print("unknown families:", unknown)
attempt("socketpair", lambda: socket.socketpair())
attempt("dns", lambda: socket.getaddrinfo("example.com", 80))
attempt("tcp", lambda: socket.create_connection(("127.0.0.1", 22), 0.2))
