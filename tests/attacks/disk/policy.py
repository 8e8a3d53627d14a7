"""Takes disk that no look finds in time: giant files, reserved room, files that never had a name, more descriptors."""

import os

from honest import attempt, call, rebalance, scratch

__all__ = ["rebalance"]

# CLONE_VM, SIGHAND, THREAD, and a pair that the kernel refuses: on an open machine nothing starts.
THREAD, IMPOSSIBLE = 0x100 | 0x800 | 0x10000, 0x200 | 0x20000


def giant(grow):
    descriptor = os.open(f"{scratch()}/giant", os.O_RDWR | os.O_CREAT)
    try:
        grow(descriptor)
        return "a file of 16 GiB"
    finally:
        os.close(descriptor)
        os.unlink(f"{scratch()}/giant")


def reserve(mode):
    descriptor = os.open(f"{scratch()}/reserved", os.O_RDWR | os.O_CREAT)
    try:
        answer = call("fallocate", descriptor, mode, 0, 4096)
        return None if answer == "reached the kernel: ENOTSUP" else answer
    finally:
        os.close(descriptor)
        os.unlink(f"{scratch()}/reserved")


attempt("truncate", lambda: giant(lambda descriptor: os.ftruncate(descriptor, 2**34)))
attempt("seek", lambda: giant(lambda descriptor: os.pwrite(descriptor, b"x", 2**34)))
# FALLOC_FL_KEEP_SIZE, with PUNCH_HOLE, ZERO_RANGE, UNSHARE_RANGE.
for mode in (0, 1, 3, 16, 64):
    attempt(f"fallocate {mode}", lambda mode=mode: reserve(mode))
attempt("O_TMPFILE", lambda: os.open(scratch(), os.O_TMPFILE | os.O_RDWR))
attempt("a table of its own", lambda: call("close_range", 1000, 1000, 2))
attempt("a thread with its own table", lambda: call("clone", THREAD | IMPOSSIBLE, 0, 0, 0, 0))
