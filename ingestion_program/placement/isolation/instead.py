"""What to use instead where a package of the platform does what is closed to a policy."""

from __future__ import annotations

import traceback
from collections.abc import Iterable

COMPILED = (
    "nothing can be compiled to a module in a policy; bring what Cython made on Linux for Python 3.12, the .so file, "
    "beside policy.py, or compile with numba"
)
# By the package among whose lines an exception arose.
INSTEAD = {
    "psutil": (
        "psutil reads /proc, which is closed; time.process_time() tells the policy's seconds, /proc/self/maps what "
        "takes its memory, len(os.sched_getaffinity(0)) the processors"
    ),
    "multiprocessing": (
        "start threads, with concurrent.futures.ThreadPoolExecutor; processes, and all pools of multiprocessing, are "
        "closed"
    ),
    "Cython": COMPILED,
    "pyximport": COMPILED,
    "imutils": "imutils needs OpenCV (cv2), which the platform lacks; scipy.ndimage and PIL work on images",
    "pip": "nothing can be installed in a policy; bring what it needs as modules beside policy.py",
}


def instead(errors: Iterable[BaseException]) -> str:
    """The way to use, by the outermost package that has one in the tracebacks of an exception and its causes."""
    for error in errors:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
            if package in INSTEAD:
                return INSTEAD[package]
    return ""
