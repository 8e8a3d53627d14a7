"""Has, or takes, a capability: as root, from its bounding set, in a namespace of its own."""

import ctypes
import struct

from honest import attempt, call, rebalance

__all__ = ["rebalance"]


def status(name):
    with open("/proc/self/status") as file:
        return next(line.split()[1] for line in file if line.startswith(name))


def effective():
    header, data = struct.pack("Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
    if ctypes.CDLL(None).capget(header, data) != 0:
        return "unknown"
    return data.raw if any(data.raw) else None


def bounding():
    prctl = ctypes.CDLL(None).prctl
    return [number for number in range(41) if prctl(24, number, 0, 0, 0) == 1] or None


attempt("held", effective)
attempt(
    "gain all",
    lambda: call("capset", struct.pack("Ii", 0x20080522, 0), struct.pack("IIIIII", *[2**32 - 1] * 3, *[511] * 3)),
)
attempt("new privileges", lambda: None if ctypes.CDLL(None).prctl(39, 0, 0, 0, 0) == 1 else "allowed")
print("bounding set:", bounding())
