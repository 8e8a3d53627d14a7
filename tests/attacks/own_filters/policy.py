"""Installs a seccomp filter and Landlock rules of its own, and makes itself readable to others: allowed, of no use."""

import ctypes
import struct

from honest import rebalance

__all__ = ["rebalance"]

libc = ctypes.CDLL(None, use_errno=True)
program = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7FFF0000))
filters = struct.pack("HxxxxxxP", 1, ctypes.addressof(program))
print("filter:", libc.prctl(22, 2, filters, 0, 0))
print("ruleset:", libc.syscall(444, 0, 0, 1))
for option, value in ((4, 1), (36, 1), (1, 0), (0x59616D61, -1), (38, 1)):
    print("prctl", option, libc.prctl(option, ctypes.c_long(value), 0, 0, 0))
