"""Scans its descriptors for one that leads out: files, folders, other sockets, memory."""

import os
import stat

from honest import attempt, rebalance

__all__ = ["rebalance"]

seen = []
for number in range(256):
    try:
        mode = os.fstat(number).st_mode
    except OSError:
        continue
    kinds = (stat.S_ISSOCK, stat.S_ISFIFO, stat.S_ISREG, stat.S_ISDIR, stat.S_ISCHR)
    kind = ["sock", "fifo", "file", "folder", "device", "other"][next((i for i, k in enumerate(kinds) if k(mode)), 5)]
    seen.append(kind)
    if kind in ("file", "folder", "other") or (number > 2 and kind == "device"):
        attempt(f"descriptor {number}", lambda number=number, kind=kind: (kind, os.fstat(number)))
attempt("more than one way in and out", lambda: None if sorted(seen[3:]) == ["fifo", "sock"] else seen)
print("seen", *seen)
