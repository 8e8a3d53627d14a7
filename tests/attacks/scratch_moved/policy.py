"""Moves its scratch folder away, or removes it, so that it is not found at the end."""

import os

from honest import attempt, rebalance, scratch

__all__ = ["rebalance"]

attempt("move", lambda: os.rename(scratch(), f"{scratch()}-moved") or True)
attempt("remove", lambda: os.rmdir(scratch()) or True)
attempt("beside", lambda: os.mkdir(f"{scratch()}-beside") or True)
attempt("over", lambda: os.symlink("/etc", f"{scratch()}-link") or True)
