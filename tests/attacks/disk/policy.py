"""Fills the disk: one giant file, and files without a name, which no look into a folder finds."""

import os

from honest import attempt, rebalance, scratch

__all__ = ["rebalance"]


def giant(grow):
    descriptor = os.open(f"{scratch()}/giant", os.O_RDWR | os.O_CREAT)
    try:
        grow(descriptor)
        return "a file of 16 GiB"
    finally:
        os.close(descriptor)
        os.unlink(f"{scratch()}/giant")


def nameless():
    # Reserved, not written, and given back at once: on an open machine this suite must do no harm.
    total, kept = 0, []
    try:
        while total < 2**30:
            descriptor = os.open(f"{scratch()}/nameless", os.O_RDWR | os.O_CREAT)
            os.unlink(f"{scratch()}/nameless")
            kept.append(descriptor)
            os.posix_fallocate(descriptor, 0, 2**25)
            total += 2**25
    except OSError as error:
        print("stopped:", error.strerror)
    finally:
        for descriptor in kept:
            os.close(descriptor)
    return f"{total} bytes without a name" if total > 2**28 else None


attempt("truncate", lambda: giant(lambda descriptor: os.ftruncate(descriptor, 2**34)))
attempt("seek", lambda: giant(lambda descriptor: os.pwrite(descriptor, b"x", 2**34)))
attempt("nameless", nameless)
