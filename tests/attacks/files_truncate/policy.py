"""Empties files that it may only read, by each call that can."""

import ctypes
import os
import struct

from honest import HERE, attempt, call_number, rebalance

__all__ = ["rebalance"]

FILE = f"{HERE}/victim.txt"


def shorter(action):
    before = os.stat(FILE).st_size
    try:
        action()
    finally:
        after = os.stat(FILE).st_size
    return f"{before} bytes are {after}" if after < before else None


attempt("truncate", lambda: shorter(lambda: os.truncate(FILE, 9)))
attempt("hole", lambda: shorter(lambda: ctypes.CDLL(None).fallocate(os.open(FILE, os.O_RDONLY), 3, 0, 4096)))
attempt("open", lambda: shorter(lambda: os.open(FILE, os.O_RDONLY | os.O_TRUNC)))
attempt(
    "openat2", lambda: shorter(lambda: call_number(437, -100, FILE.encode(), struct.pack("QQQ", os.O_TRUNC, 0, 0), 24))
)
