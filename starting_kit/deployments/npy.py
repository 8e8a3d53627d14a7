"""A deployment table as it is here: an .npy of integers [layer, device, slot]."""

from __future__ import annotations

import io

import numpy as np

from .rows import Rows, wrong


def npy_bytes(table: np.ndarray, _numbers: tuple[int, ...], _experts: int) -> bytes:
    """The file's bytes; table: int [layer, device, slot]."""
    np.save(file := io.BytesIO(), np.ascontiguousarray(table, np.int64))
    return file.getvalue()


def read_npy(table: np.ndarray) -> Rows:
    """Raises Problem; a map [layer, slot] is taken, too."""
    if table.dtype.kind not in "iu" or table.ndim not in (2, 3) or not table.size:
        got = f"{table.dtype} {list(table.shape)}"
        raise wrong("the array is no deployment table", got, "integers [layer, device, slot] or [layer, slot]")
    if table.min() < 0 or table.max() >= 2**31:
        raise wrong("the table holds no expert id", f"{table.min()} .. {table.max()}", "ids from 0 on")
    devices = table.shape[1] if table.ndim == 3 else None
    return Rows(table.reshape(len(table), -1).astype(np.int64), "npy", devices=devices)
