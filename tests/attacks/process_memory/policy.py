"""Reads and writes the simulator's memory and takes its descriptors: ptrace, process_vm_*, pidfd_*, perf."""

import ctypes

from honest import attempt, call, parent, rebalance, request_socket

__all__ = ["rebalance"]

simulator, room = parent(), ctypes.create_string_buffer(256)
here = ctypes.addressof(room)
for name, request in (("peek", 1), ("attach", 16), ("seize", 0x4206)):
    attempt(f"ptrace {name}", lambda request=request: call("ptrace", request, simulator, here, here))
for name in ("process_vm_readv", "process_vm_writev"):
    attempt(name, lambda name=name: call(name, simulator, here, 1, here, 1, 0))
attempt("pidfd_open", lambda: call("pidfd_open", simulator, 0))
attempt("pidfd_getfd", lambda: call("pidfd_getfd", 0, 3, 0))
attempt("pidfd_send_signal", lambda: call("pidfd_send_signal", 0, 0, 0, 0))
attempt("kcmp", lambda: call("kcmp", simulator, simulator, 1, 0, 0))
attempt("process_madvise", lambda: call("process_madvise", 0, here, 0, 21, 0))
attempt("process_mrelease", lambda: call("process_mrelease", 0, 0))
attempt("migrate_pages", lambda: call("migrate_pages", simulator, 0, 0, 0))
attempt("move_pages", lambda: call("move_pages", simulator, 0, 0, 0, 0, 0))
attempt("move_pages of its own", lambda: call("move_pages", 0, 1, ctypes.byref(ctypes.c_void_p(here)), 0, here + 8, 0))
requests = request_socket()
# SO_PEERCRED, SO_PEERPIDFD; SO_PASSCRED, SO_PASSPIDFD.
for option in (17, 77):
    attempt(f"getsockopt {option}", lambda option=option: requests.getsockopt(1, option, 12))
for option in (16, 76):
    attempt(f"setsockopt {option}", lambda option=option: requests.setsockopt(1, option, 1) or True)
requests.detach()
attempt("perf_event_open", lambda: call("perf_event_open", here, simulator, -1, -1, 0))
