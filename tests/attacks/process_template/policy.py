"""Reaches for the process from which all policies are forked, and for what it shares with its other forks."""

import ctypes
import os

from honest import attempt, call, parent, rebalance

__all__ = ["rebalance"]

simulator = parent()
here = ctypes.addressof(ctypes.create_string_buffer(256))


def may_be_the_template(process):
    # It is a child of the simulator's as well, older than its forks.
    try:
        with open(f"/proc/{process}/stat") as stat:
            return int(stat.read().rpartition(")")[2].split()[1]) == simulator
    except PermissionError:
        return True
    except OSError:
        return False


def shared():
    with open("/proc/self/maps") as maps:
        return [line for line in maps if line.split()[1].startswith("rw") and line.split()[1].endswith("s")] or None


for process in filter(may_be_the_template, range(simulator + 1, os.getpid())):
    attempt(f"attach {process}", lambda process=process: call("ptrace", 16, process, here, here))
    attempt(f"change {process}", lambda process=process: call("process_vm_writev", process, here, 1, here, 1, 0))
    attempt(f"memory {process}", lambda process=process: open(f"/proc/{process}/mem", "r+b"))  # noqa: SIM115
    attempt(f"descriptor {process}", lambda process=process: os.readlink(f"/proc/{process}/fd/0"))
    attempt(f"kill {process}", lambda process=process: os.kill(process, 0) or True)
attempt("memory in common", shared)
# Flags and position of what is open belong to all who have it open.
attempt("standard input's flags", lambda: None if os.get_blocking(0) else "set by another case")
os.set_blocking(0, False)
