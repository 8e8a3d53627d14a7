"""How a window and the live table reach a policy: one fresh, sealed piece of memory per call, never copied twice."""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from typing import IO

import numpy as np

from .grid import Case
from .trace import Trace

# Linux's numbers: F_ADD_SEALS, and F_SEAL_SEAL | SHRINK | GROW | WRITE.
ADD_SEALS, ALL_SEALS = 1033, 1 | 2 | 4 | 8
# Iterations copied at a time: 950 KB for the largest model, which stay in the cache between making and writing them.
BLOCK = 16


def table_offset(case: Case) -> int:
    """Bytes of a window [window, layer, expert] int32, padded to 8; the table, int64, begins behind them."""
    return -(-case.window * case.layers * case.experts * 4 // 8) * 8


def share(case: Case, trace: Trace, start: int, stop: int, deployment: np.ndarray) -> int:
    """A descriptor of iterations start .. stop - 1 (from 0) and of the table; the caller closes it."""
    sealed = hasattr(os, "memfd_create")
    if sealed:
        descriptor = os.memfd_create("window", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    # Written, not mapped: a page fault for every 4 KB costs as much again as the copy.
    buffer = np.empty((BLOCK, trace.layers, trace.experts), np.int32)
    with open(descriptor, "wb", buffering=0, closefd=False) as file:
        for first in range(start, stop, BLOCK):
            last = min(first + BLOCK, stop)
            _write(file, trace.window(first, last, out=buffer[: last - first]))
        file.seek(table_offset(case))
        _write(file, deployment.astype("<i8"))
    if sealed:
        # Growing it would give a policy memory that no limit counts.
        fcntl.fcntl(descriptor, ADD_SEALS, ALL_SEALS)
    return descriptor


def _write(file: IO[bytes], array: np.ndarray) -> None:
    data = memoryview(array).cast("B")
    while data:
        data = data[file.write(data) :]


def receive(case: Case, descriptor: int) -> tuple[np.ndarray, np.ndarray]:
    """Private writable arrays over a shared descriptor, which is closed: pages are copied only when written to."""
    memory = mmap.mmap(descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    os.close(descriptor)
    shape = (case.window, case.layers, case.experts)
    hotness = np.frombuffer(memory, np.int32, count=case.window * case.layers * case.experts).reshape(shape)
    deployment = np.frombuffer(memory, np.int64, offset=table_offset(case))
    return hotness, deployment.reshape(case.layers, case.devices, case.slots).copy()
