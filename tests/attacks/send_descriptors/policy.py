"""Sends descriptors and data back over the request socket, which nobody reads."""

import socket

from honest import attempt, rebalance, request_socket

__all__ = ["rebalance"]

requests = request_socket()
for _ in range(100):
    attempt("send", lambda: socket.send_fds(requests, [b"x" * 100], [0] * 10) and None)
attempt("fill", lambda: requests.send(b"x" * 10**6, socket.MSG_DONTWAIT) and None)
for name, action in (("connect", requests.connect), ("bind", requests.bind)):
    attempt(name, lambda action=action: action("\0attack") or True)
attempt("listen", lambda: requests.listen() or True)
requests.detach()
