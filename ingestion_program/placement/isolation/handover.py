"""Hands a window and the live table to a policy: each in a sealed piece of memory. A window is filled block by
block.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections.abc import Iterable, Iterator

import numpy as np

from ..grid import Case
from ..trace import Hotness
from .protocol import write_all

# Linux's numbers: F_ADD_SEALS, and F_SEAL_SEAL | SHRINK | GROW | WRITE.
ADD_SEALS, ALL_SEALS = 1033, 1 | 2 | 4 | 8
# While the kernel holds a page, to move it for example, memory cannot be sealed. A try waits some 0.15 s in the kernel.
SEAL_TRIES = 20
# Iterations copied at a time: 950 KB for the largest model, which stay in the cache between making and writing them.
BLOCK = 16


def share_window(trace: Hotness, start: int, stop: int) -> int:
    """A descriptor of iterations start .. stop - 1 (from 0), int32 [iteration, layer, expert]; the caller closes it.

    Raises OSError when memory or disk is full.
    """
    return _shared(_blocks(trace, start, stop))


def opened_again(descriptor: int) -> int:
    """Another descriptor of the same memory, read only and with its own position; the caller closes it."""
    path = f"/proc/self/fd/{descriptor}"
    # Without /proc the position is shared: nobody reads there.
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC) if os.path.exists(path) else os.dup(descriptor)


def share_table(deployment: np.ndarray) -> int:
    """A descriptor of a table, int64 [layer, device, slot]; as share_window."""
    return _shared([np.ascontiguousarray(deployment, dtype="<i8").data])


def receive(case: Case, window: int, table: int) -> tuple[np.ndarray, np.ndarray]:
    """Private writable arrays of both descriptors, which are closed: a window's pages are copied when written to."""
    return (
        _mapped(window, np.int32, (case.window, case.layers, case.experts)),
        _mapped(table, np.int64, (case.layers, case.devices, case.slots)),
    )


def _blocks(trace: Hotness, start: int, stop: int) -> Iterator[memoryview]:
    buffer = np.empty((BLOCK, trace.layers, trace.experts), np.int32)
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        yield trace.window(first, last, out=buffer[: last - first]).data


def _shared(parts: Iterable[memoryview]) -> int:
    sealed = hasattr(os, "memfd_create")
    if sealed:
        descriptor = os.memfd_create("window", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        # Not above: a policy's process, which only receives, need not import it.
        import tempfile

        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    try:
        # Written, not mapped: a page fault for every 4 KB costs as much again as the copy.
        for part in parts:
            write_all(descriptor, part)
        if sealed:
            _seal(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _seal(descriptor: int) -> None:
    """Seal the memory against writing and growing: otherwise a policy would have memory that no limit counts."""
    for left in reversed(range(SEAL_TRIES)):
        try:
            fcntl.fcntl(descriptor, ADD_SEALS, ALL_SEALS)
            return
        except OSError as error:
            if error.errno != errno.EBUSY or not left:
                raise


def _mapped(descriptor: int, kind: type, shape: tuple[int, ...]) -> np.ndarray:
    memory = mmap.mmap(descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    os.close(descriptor)
    return np.frombuffer(memory, kind).reshape(shape)
