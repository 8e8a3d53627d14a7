"""What to use in place of a package whose work is closed to a policy."""

from __future__ import annotations

import traceback
from collections.abc import Iterable

COMPILED = (
    "a policy cannot compile modules; put the .so file that Cython made on Linux for Python 3.12 beside "
    "policy.py, or compile with numba"
)
# By the package among whose lines an exception arose.
INSTEAD = {
    "psutil": (
        "psutil reads /proc, which is closed; use time.process_time() for the policy's seconds, /proc/self/maps for "
        "its memory, len(os.sched_getaffinity(0)) for the number of processors"
    ),
    "multiprocessing": (
        "use threads (concurrent.futures.ThreadPoolExecutor); processes and all pools of multiprocessing are closed"
    ),
    "Cython": COMPILED,
    "pyximport": COMPILED,
    "imutils": "imutils needs OpenCV (cv2), which the platform lacks; scipy.ndimage and PIL work on images",
    "pip": "a policy cannot install packages; put what it needs beside policy.py as modules",
}


def instead(errors: Iterable[BaseException]) -> str:
    """The replacement for the outermost package that has one, in the tracebacks of an exception and its causes."""
    for error in errors:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
            if package in INSTEAD:
                return INSTEAD[package]
    return ""
