"""Adds seccomp filters and Landlock rules of its own, which take memory that no limit counts, and hides from others."""

import ctypes
import struct

from honest import attempt, call, rebalance

__all__ = ["rebalance"]

libc = ctypes.CDLL(None, use_errno=True)
program = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7FFF0000))
filters = struct.pack("HxxxxxxP", 1, ctypes.addressof(program))
attempt("filter", lambda: call("seccomp", 1, 0, filters))
attempt("filter by prctl", lambda: libc.prctl(22, 2, filters, 0, 0) == 0 or None)
attempt("rules", lambda: call("landlock_create_ruleset", struct.pack("Q", 1), 8, 0))
# PR_SET_DUMPABLE, PR_SET_PDEATHSIG, PR_SET_PTRACER, PR_SCHED_CORE.
for option, value in ((4, 0), (4, 1), (1, 0), (0x59616D61, -1), (62, 0)):
    attempt(f"prctl {option} {value}", lambda o=option, v=value: libc.prctl(o, ctypes.c_long(v), 0, 0, 0) == 0 or None)
for option, value in ((36, 1), (38, 1)):
    print("prctl", option, libc.prctl(option, ctypes.c_long(value), 0, 0, 0))
