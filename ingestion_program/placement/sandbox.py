"""What a policy process may use: its environment and its resource limits."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
# Room to report a MemoryError after a policy has used up its own memory.
REPORT_BYTES = 64 * 1024 * 1024
PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4


def environment() -> dict[str, str]:
    """A policy's whole environment: nothing of the parent's but PATH, and the same hash seed everywhere."""
    fixed = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}
    return fixed | dict.fromkeys(ONE_THREAD, "1")


def die_with_parent() -> None:
    """Have the calling process killed when the thread that started it ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def hide_process() -> None:
    """Close the calling process's memory and descriptors in /proc to others of the same user (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def limit_process(memory_bytes: int) -> None:
    """Limit the calling process's memory, forbid core dumps, and let it die with its parent (Linux)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    die_with_parent()
    if sys.platform == "linux":
        highest, present = memory_bytes + REPORT_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]
        # A machine may set a lower limit of its own, which cannot be raised.
        hard = highest if present == resource.RLIM_INFINITY else min(highest, present)
        resource.setrlimit(resource.RLIMIT_AS, (min(memory_bytes, hard), hard))


def free_report_memory() -> None:
    """Lift the memory limit by the room kept for reporting."""
    if sys.platform == "linux":
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
