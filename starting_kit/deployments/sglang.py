"""SGLang's `--init-expert-location`: a JSON object with one key, a row for every layer of the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from .rows import Rows, slots_of, wrong

KEY = "physical_to_logical_map"


def sglang_text(table: np.ndarray, numbers: tuple[int, ...], experts: int) -> bytes:
    """The file's bytes; table: int [layer, device, slot]; numbers: the model's, of each layer of the table.

    SGLang indexes the rows by the model's layers: those before the last one of the table that the table lacks, which
    are dense, get the map that SGLang starts with, slot after slot the experts in order. The key stands alone: SGLang
    hands every key of the file to a function that takes this one.
    """
    slots = table[0].size
    rows = np.tile(np.arange(slots) % experts, (max(numbers) + 1, 1))
    rows[list(numbers)] = table.reshape(len(table), slots)
    return json.dumps({KEY: rows.tolist()}).encode()


def read_sglang(content: Mapping[str, Any]) -> Rows:
    """Read the rows of a file's content. Raises Problem."""
    if others := sorted(set(content) - {KEY}):
        what = "SGLang's file has a key that SGLang does not take"
        raise wrong(what, f"{others[0]!r:.60}", f"{KEY} alone", "leave the other keys out")
    slots = slots_of(content[KEY], KEY)
    return Rows(slots, "sglang", tuple(range(len(slots))))
