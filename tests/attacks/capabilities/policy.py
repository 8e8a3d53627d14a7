"""Has, or takes, a capability: as root, from its bounding set, in a namespace of its own."""

import ctypes
import os
import struct

from honest import attempt, call, rebalance

__all__ = ["rebalance"]


def bounding():
    prctl = ctypes.CDLL(None).prctl
    return [number for number in range(41) if prctl(24, number, 0, 0, 0) == 1] or None


# Whoever holds the right becomes another group, and loses nothing by it.
attempt("held", lambda: os.setegid(os.getegid() + 1) or True)
attempt(
    "gain all",
    lambda: call("capset", struct.pack("Ii", 0x20080522, 0), struct.pack("IIIIII", *[2**32 - 1] * 3, *[511] * 3)),
)
attempt("new privileges", lambda: None if ctypes.CDLL(None).prctl(39, 0, 0, 0, 0) == 1 else "allowed")
print("bounding set:", bounding())
