"""What a policy's process may use: environment, limits, and the layers that close everything else."""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path

from . import landlock, seccomp

ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
# Room to report a MemoryError after a policy has used up its own memory.
REPORT_BYTES = 64 * 1024 * 1024
LARGEST_FILE_BYTES = 64 * 1024 * 1024
OPEN_FILES = 128
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
CAPABILITIES_VERSION = 0x20080522
# "files", "tcp" and "signals" are Landlock's, "calls" is the seccomp filter.
LAYERS = ("limits", "capabilities", "files", "tcp", "signals", "calls")
# The filter denies sockets and signals too, so an older Landlock without them is enough.
REQUIRED_LAYERS = ("limits", "capabilities", "files", "calls")

PACKAGE = Path(__file__).resolve().parents[1]
# What shared libraries, time zones and numpy's choice of instructions are read from; and the process's own memory map,
# in which threadpoolctl, and with it scikit-learn, finds the libraries that are loaded.
SYSTEM_FILES = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/etc/localtime"),
    *("/usr/share/zoneinfo", "/dev/null", "/dev/zero", "/dev/urandom", "/proc/cpuinfo", "/sys/devices/system/cpu"),
    "/proc/self/maps",
)


def environment(scratch: Path) -> dict[str, str]:
    """A policy's whole environment: the same on every machine, except for PATH and the scratch folder."""
    fixed = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}
    # Where files are not closed, numba would keep what it compiled in the submission's folder, for the next case too.
    folders = dict.fromkeys(("HOME", "TMPDIR", "NUMBA_CACHE_DIR"), str(scratch))
    # joblib finds no processes and runs all in one thread; told before, it does so everywhere, and without a warning.
    return fixed | folders | dict.fromkeys(ONE_THREAD, "1") | {"JOBLIB_MULTIPROCESSING": "0"}


def libraries() -> list[str]:
    """The folders from which a policy imports: this process's, without those of the kit and the programs."""
    bundle, paths = PACKAGE.parent.parent, [Path(path).resolve() for path in sys.path if path]
    # An environment may lie inside the kit, and refer to another one there.
    installed = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")]
    installed += [path for path in paths if path.name in ("site-packages", "dist-packages")]
    return [str(p) for p in paths if not p.is_relative_to(bundle) or any(p.is_relative_to(i) for i in installed)]


def die_with_parent() -> None:
    """Make the calling process end when the thread that started it ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def hold_maps(process: int) -> int:
    """A descriptor of a process's memory map, which reads nothing; where there is none, of /dev/null.

    While somebody holds the file, the kernel does not make it anew, and the rule that opens it goes on naming it.
    """
    path = f"/proc/{process}/maps"
    return os.open(path, os.O_PATH) if os.path.exists(path) else os.open(os.devnull, os.O_RDONLY)


def hide_process() -> None:
    """Close the calling process's memory and descriptors in /proc to others of the same user (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def show_process() -> None:
    """Open what `hide_process` has closed (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


def enter(folder: Path, scratch: Path, memory_bytes: int, cpu_seconds: float) -> list[str]:
    """Close everything to the calling process, which has one thread, but what a policy may use.

    folder: the submission's, read only; scratch: the only folder in which files can be written; memory_bytes and
    cpu_seconds: at most used, by all threads together. Returns the layers that are active, in LAYERS' order.
    """
    _limit(memory_bytes, cpu_seconds)
    die_with_parent()
    layers = {"limits"}
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        layers |= {"capabilities"} if _drop_capabilities() else set()
        layers |= landlock.restrict(_readable(folder), [scratch, Path("/dev/null")])
        # Landlock keeps other policies from looking into this process, and the simulator must: removed files count.
        # A fork of the template is hidden until here.
        if "files" in layers:
            show_process()
        else:
            hide_process()
        layers |= {"calls"} if seccomp.deny() else set()
    return [layer for layer in LAYERS if layer in layers]


def free_report_memory() -> None:
    """Lift the memory limit by the room kept for reporting."""
    if sys.platform == "linux":
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def stop_writing(process: int) -> None:
    """Let a child process make no file longer any more, nor write to one (Linux)."""
    if hasattr(resource, "prlimit"):
        resource.prlimit(process, resource.RLIMIT_FSIZE, (0, 0))


def _limit(memory_bytes: int, cpu_seconds: float) -> None:
    # What the start of Python has used is not the policy's.
    seconds = math.ceil(time.process_time() + cpu_seconds)
    limits = {
        # Of a process that crashes nothing is kept. Zero would still hand its memory to a program of the machine's, one
        # byte does not.
        resource.RLIMIT_CORE: (1, 1),
        resource.RLIMIT_FSIZE: (LARGEST_FILE_BYTES, LARGEST_FILE_BYTES),
        resource.RLIMIT_NOFILE: (OPEN_FILES, OPEN_FILES),
        # The soft limit says what happened (SIGXCPU), the hard one ends a process that ignores that.
        resource.RLIMIT_CPU: (seconds, seconds + 1),
    }
    if sys.platform == "linux":
        limits[resource.RLIMIT_AS] = (memory_bytes, memory_bytes + REPORT_BYTES)
    for kind, (soft, hard) in limits.items():
        present = resource.getrlimit(kind)[1]
        # A machine may set a lower limit of its own, which cannot be raised.
        hard = hard if present == resource.RLIM_INFINITY else min(hard, present)
        resource.setrlimit(kind, (min(soft, hard), hard))


def _drop_capabilities() -> bool:
    """Give up all rights of root; False when that failed."""
    header = (ctypes.c_uint32 * 2)(CAPABILITIES_VERSION, 0)
    return ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)()) == 0


def _readable(folder: Path) -> Sequence[Path]:
    library = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    prefixes = {f"{prefix}/lib" for prefix in (sys.base_prefix, sys.base_exec_prefix)}
    return [folder, PACKAGE, *(Path(path) for path in sorted({*library, *prefixes, *SYSTEM_FILES, *sys.path}))]
