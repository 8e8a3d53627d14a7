"""Leaves folders in its scratch folder that cannot be listed or entered, pipes, devices, and odd names."""

import os

from honest import attempt, rebalance, scratch

__all__ = ["rebalance"]


def closed_folder(number):
    os.mkdir(f"{scratch()}/{number}", 0o300)
    open(f"{scratch()}/{number}/file", "w").close()
    os.chmod(f"{scratch()}/{number}", number)


os.umask(0)
# Open only if they cannot be removed, which the runner sees.
for number in (0, 0o100, 0o300):
    attempt(f"folder {number}", lambda number=number: closed_folder(number))
attempt("empty folder", lambda: os.mkdir(f"{scratch()}/nothing", 0))
attempt("pipe", lambda: os.mkfifo(f"{scratch()}/pipe"))
attempt("closed file", lambda: os.close(os.open(f"{scratch()}/file", os.O_CREAT | os.O_WRONLY, 0)))
attempt("closed scratch", lambda: os.chmod(scratch(), 0))
attempt("device", lambda: os.mknod(f"{scratch()}/device", 0o60600, os.makedev(8, 0)) or True)
open(os.fsencode(scratch()) + b"/\xff\n\x1b", "w").close()
print("left")
