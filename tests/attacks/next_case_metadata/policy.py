"""Leaves a mark for the next case in times, modes and attributes of files, and looks for that of the case before."""

import os

from honest import HERE, attempt, package, rebalance

__all__ = ["rebalance"]

for path in (f"{HERE}/policy.py", f"{HERE}/honest.py", f"{package()}/replay.py"):
    attempt(f"time {path}", lambda path=path: True if os.stat(path).st_mtime == 1 else None)
    attempt(f"mode {path}", lambda path=path: True if os.stat(path).st_mode & 0o777 == 0o601 else None)
    attempt(f"attribute {path}", lambda path=path: os.getxattr(path, "user.attack"))
for change in (lambda path: os.utime(path, (1, 1)), lambda path: os.chmod(path, 0o601)):
    attempt("leave a mark", lambda change=change: change(f"{HERE}/policy.py"))
attempt("leave an attribute", lambda: os.setxattr(f"{HERE}/policy.py", "user.attack", b"1"))
