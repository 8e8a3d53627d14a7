"""Leaves files for the next case of the same trace, wherever it can, and looks for those of the case before."""

import os
import tempfile

from honest import HERE, attempt, package, parent, rebalance

__all__ = ["rebalance"]

# The cases of a trace have one parent. What is found is removed: this suite must leave nothing on an open machine.
NAME, found = f"attack-mark-{parent()}", []


def find(folder):
    if os.path.exists(f"{folder}/{NAME}"):
        found.append(folder)
        os.unlink(f"{folder}/{NAME}")
        return folder
    return None


def leave(folder):
    with open(f"{folder}/{NAME}", "x") as file:
        file.write("the future")


folders = [os.getcwd(), HERE, f"{HERE}/__pycache__", tempfile.gettempdir(), os.environ.get("HOME", "/root"), package()]
folders += ["/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run", f"{HERE}/..", "/app"]
for folder in dict.fromkeys(folders):
    attempt(f"find in {folder}", lambda folder=folder: find(folder))
if not found:
    for folder in dict.fromkeys(folders):
        attempt(f"leave in {folder}", lambda folder=folder: leave(folder))
