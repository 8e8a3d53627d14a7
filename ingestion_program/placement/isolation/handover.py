"""How a window and the live table reach a policy: one fresh, sealed piece of memory per call, filled block by block."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import tempfile

import numpy as np

from ..grid import Case
from ..trace import Trace
from .protocol import write_all

# Linux's numbers: F_ADD_SEALS, and F_SEAL_SEAL | SHRINK | GROW | WRITE.
ADD_SEALS, ALL_SEALS = 1033, 1 | 2 | 4 | 8
# While the kernel holds a page, to move it for example, memory cannot be sealed. A try waits some 0.15 s in the kernel.
SEAL_TRIES = 20
# Iterations copied at a time: 950 KB for the largest model, which stay in the cache between making and writing them.
BLOCK = 16


def table_offset(case: Case) -> int:
    """Bytes of a window [window, layer, expert] int32, padded to 8; the table, int64, begins behind them."""
    return -(-case.window * case.layers * case.experts * 4 // 8) * 8


def share(case: Case, trace: Trace, start: int, stop: int, deployment: np.ndarray) -> int:
    """A descriptor of iterations start .. stop - 1 (from 0) and of the table; the caller closes it.

    Raises OSError when memory or disk is full.
    """
    sealed = hasattr(os, "memfd_create")
    if sealed:
        descriptor = os.memfd_create("window", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    try:
        # Written, not mapped: a page fault for every 4 KB costs as much again as the copy.
        buffer = np.empty((BLOCK, trace.layers, trace.experts), np.int32)
        for first in range(start, stop, BLOCK):
            last = min(first + BLOCK, stop)
            write_all(descriptor, trace.window(first, last, out=buffer[: last - first]).data)
        os.lseek(descriptor, table_offset(case), os.SEEK_SET)
        write_all(descriptor, np.ascontiguousarray(deployment, dtype="<i8").data)
        if sealed:
            _seal(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _seal(descriptor: int) -> None:
    """Let nobody write to the memory any more, nor grow it: a policy would have memory that no limit counts."""
    for left in reversed(range(SEAL_TRIES)):
        try:
            fcntl.fcntl(descriptor, ADD_SEALS, ALL_SEALS)
            return
        except OSError as error:
            if error.errno != errno.EBUSY or not left:
                raise


def receive(case: Case, descriptor: int) -> tuple[np.ndarray, np.ndarray]:
    """Private writable arrays over a shared descriptor, which is closed: pages are copied only when written to."""
    memory = mmap.mmap(descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    os.close(descriptor)
    shape = (case.window, case.layers, case.experts)
    hotness = np.frombuffer(memory, np.int32, count=case.window * case.layers * case.experts).reshape(shape)
    deployment = np.frombuffer(memory, np.int64, offset=table_offset(case))
    return hotness, deployment.reshape(case.layers, case.devices, case.slots).copy()
