"""Reads processes through /proc: memory, environment, maps, descriptors."""

import os

from honest import attempt, parent, rebalance

__all__ = ["rebalance"]


def read(path):
    with open(path, "rb") as file:
        return file.read(16) or None


others = [parent(), 1, *range(parent() - 3, parent())]
for process in others:
    for name in ("mem", "environ", "maps", "cmdline", "stat", "status", "auxv", "syscall", "stack", "pagemap", "comm"):
        attempt(f"/proc/{process}/{name}", lambda path=f"/proc/{process}/{name}": read(path))
    for name in ("fd", "task", "map_files", "cwd", "root", "ns"):
        attempt(f"/proc/{process}/{name}/", lambda path=f"/proc/{process}/{name}": os.listdir(path))
    for name in ("cwd", "root", "exe", "fd/3", "ns/user"):
        attempt(f"link /proc/{process}/{name}", lambda path=f"/proc/{process}/{name}": os.readlink(path))
    attempt(f"write /proc/{process}/mem", lambda process=process: open(f"/proc/{process}/mem", "r+b"))  # noqa: SIM115
    attempt(f"oom /proc/{process}", lambda process=process: open(f"/proc/{process}/oom_score_adj", "w"))  # noqa: SIM115
# Its own memory map is open to a policy, and nothing else of its own: other files tell what lies in memory.
for name in ("smaps", "numa_maps", "pagemap", "mem", "stat", "status", "io", f"task/{os.getpid()}/maps"):
    attempt(f"/proc/self/{name}", lambda path=f"/proc/self/{name}": read(path))
for path in ("/proc", "/proc/self/root/", "/proc/self/cwd/.."):
    attempt(f"list {path}", lambda path=path: os.listdir(path))
for name in ("kcore", "kallsyms", "keys", "locks", "net/unix", "sysvipc/shm", "sys/kernel/core_pattern", "meminfo"):
    attempt(f"/proc/{name}", lambda path=f"/proc/{name}": read(path))
