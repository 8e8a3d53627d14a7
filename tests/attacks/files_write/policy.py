"""Writes wherever it can: its own folder, the simulator, Python's libraries, results, temporary folders, the kernel."""

import os

import numpy as np

from honest import HERE, attempt, library, outside, package, rebalance

__all__ = ["rebalance"]


def create(folder):
    path = f"{folder}/attack-{os.getpid()}.pth"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    os.unlink(path)
    return path


def make_folder(folder):
    os.mkdir(f"{folder}/attack-{os.getpid()}")
    os.rmdir(f"{folder}/attack-{os.getpid()}")
    return folder


def make_link(folder):
    os.symlink("/etc", f"{folder}/attack-link-{os.getpid()}")
    os.unlink(f"{folder}/attack-link-{os.getpid()}")
    return folder


def open_for_writing(path):
    # Nothing is written: on an open machine this suite must do no harm.
    os.close(os.open(path, os.O_WRONLY))
    return path


libraries = [os.path.dirname(path) for path in (library(), np.__file__)]
folders = [HERE, os.getcwd(), f"{HERE}/__pycache__", package(), f"{package()}/__pycache__", *libraries]
folders += [f"{libraries[0]}/site-packages", f"{HERE}/../tmp", "/sys/fs/cgroup", *outside()]
for folder in dict.fromkeys(folders):
    attempt(f"create in {folder}", lambda folder=folder: create(folder))
    attempt(f"mkdir in {folder}", lambda folder=folder: make_folder(folder))
    attempt(f"link in {folder}", lambda folder=folder: make_link(folder))
files = [f"{HERE}/policy.py", library(), np.__file__, f"{package()}/replay.py", f"{package()}/../ingestion.py"]
files += [f"{HERE}/../output/results.json", "/app/output/results.json", "/etc/passwd", "/dev/mem", "/dev/kmsg"]
files += ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/self/mem", "/proc/self/oom_score_adj"]
for path in files:
    attempt(f"write {path}", lambda path=path: open_for_writing(path))
for path in (f"{HERE}/policy.py", f"{package()}/replay.py"):
    attempt(
        f"rename {path}", lambda path=path: os.rename(path, f"{path}.old") or os.rename(f"{path}.old", path) or path
    )
