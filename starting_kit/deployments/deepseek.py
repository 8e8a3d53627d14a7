"""The arrays that DeepSeek's `rebalance_experts` returns (phy2log, log2phy, logcnt), as an .npz."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np

from adapters.maps import logical_to_physical, replica_counts

from .rows import Rows, wrong

KEYS = ("phy2log", "log2phy", "logcnt")


def deepseek_arrays(table: np.ndarray, experts: int) -> dict[str, np.ndarray]:
    """The three arrays, int64: phy2log [layer, slot], log2phy [layer, expert, replica], logcnt [layer, expert].

    table: int [layer, device, slot]. log2phy has the slots of an expert in ascending order, then -1.
    """
    maps = table.reshape(len(table), -1).astype(np.int64)
    return dict(zip(KEYS, (maps, logical_to_physical(maps, experts), replica_counts(maps, experts)), strict=True))


def deepseek_bytes(table: np.ndarray, _numbers: tuple[int, ...], experts: int) -> bytes:
    """The file's bytes; table: int [layer, device, slot]."""
    np.savez_compressed(file := io.BytesIO(), **deepseek_arrays(table, experts))
    return file.getvalue()


def read_deepseek(arrays: Mapping[str, np.ndarray]) -> Rows:
    """Read the rows of a file's content. Raises Problem, also where the three arrays contradict each other."""
    for key in KEYS:
        if key in arrays and arrays[key].dtype.kind not in "iu":
            raise wrong(f"{key} holds no integers", f"{arrays[key].dtype}", "integers")
    phy2log = arrays["phy2log"]
    if phy2log.ndim != 2 or not phy2log.size or phy2log.min() < 0 or phy2log.max() >= 2**31:
        got = f"shape {list(phy2log.shape)}"
        raise wrong("phy2log is not a map", got, "expert ids [layer, slot], from 0 on")
    phy2log = phy2log.astype(np.int64)
    if "logcnt" in arrays:
        logcnt = arrays["logcnt"]
        counts = [np.bincount(row, minlength=logcnt.shape[-1]) for row in phy2log]
        if logcnt.shape != (len(phy2log), phy2log.max() + 1) or not np.array_equal(counts, logcnt):
            raise wrong("logcnt does not fit phy2log", "other counts", "how many slots hold each expert")
    if "log2phy" in arrays and not _agree(phy2log, arrays["log2phy"]):
        raise wrong("log2phy does not fit phy2log", "other slots", "the slots that hold each expert, then -1")
    return Rows(phy2log, "deepseek")


def _agree(phy2log: np.ndarray, log2phy: np.ndarray) -> bool:
    """Whether log2phy has each slot once, at the expert that the slot holds."""
    if log2phy.ndim != 3 or log2phy.shape[:2] != (len(phy2log), phy2log.max() + 1):
        return False
    for row, slots in zip(phy2log, log2phy, strict=True):
        experts, places = np.nonzero(slots >= 0)
        named = slots[experts, places]
        if sorted(named.tolist()) != list(range(len(row))) or not np.array_equal(row[named], experts):
            return False
    return True
