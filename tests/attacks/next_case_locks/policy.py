"""Locks and leases on shared files: a sign for another case, were one to run."""

import fcntl
import os
import struct

from honest import HERE, attempt, library, rebalance

__all__ = ["rebalance"]

held = []
for path in (f"{HERE}/policy.py", library()):
    file = open(path, "rb")  # noqa: SIM115
    held.append(file)
    attempt(f"locked {path}", lambda file=file: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB))
    lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
    attempt(f"range {path}", lambda file=file, lock=lock: None if fcntl.fcntl(file, fcntl.F_SETLK, lock) else True)
    attempt(f"lease {path}", lambda file=file: fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK) and None)
