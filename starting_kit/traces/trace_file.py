"""Trace files: how a plain one is written."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from placement.trace import BLOCK, Readable, start_hash
from placement.traces.whole_file import whole_file

# Iterations: window + 2, with the smallest window.
SMALLEST_TRACE = 3


def write_trace(path: Path, values: np.ndarray) -> None:
    """Write a trace [iteration, layer, expert] as .npy (int32) or .npz (one array, `hotness`, see below).

    values: int32. The .npz holds int16 when the values fit, which makes it a sixth smaller. Its member
    carries a fixed time, so equal values give equal bytes with equal releases of zlib. Raises OSError.
    """
    if path.suffix == ".npy":
        with whole_file(path) as file:
            _write_array(file, values.astype("<i4", copy=False))
        return
    small = values.astype("<i2" if values.max() < 2**15 else "<i4", copy=False)
    member = zipfile.ZipInfo("hotness.npy", date_time=(1980, 1, 1, 0, 0, 0))
    member.compress_type = zipfile.ZIP_DEFLATED
    member.create_system = 3  # as on Unix: the default names the system that runs
    member.external_attr = 0o644 << 16
    with (
        whole_file(path) as file,
        zipfile.ZipFile(file, "w") as archive,
        archive.open(member, "w", force_zip64=True) as stream,
    ):
        _write_array(stream, small)


def write_drawn(path: Path, values: Readable, accept: Callable[[str], None]) -> None:
    """Write values that are not in memory as .npy (int32), of which memory holds a block.

    accept: is called with the trace's hash before the file takes its name; what it raises leaves no file. Raises
    OSError, and what reading the values raises.
    """
    digest, iterations = start_hash(values.shape), values.shape[0]
    block = np.empty((min(BLOCK, iterations), *values.shape[1:]), "<i4")
    with whole_file(path) as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<i4", "fortran_order": False, "shape": values.shape})
        for first in range(0, iterations, BLOCK):
            part = values.read(first, block[: iterations - first])
            digest.update(part)
            file.write(part.data)
        accept(digest.hexdigest())


def _write_array(file: IO[bytes], values: np.ndarray) -> None:
    np.lib.format.write_array(file, np.ascontiguousarray(values), allow_pickle=False)
