"""vLLM's `initial_expert_map_path`: a JSON list, a row for every layer with experts, or one row for all of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from .rows import Rows, slots_of


def vllm_text(table: np.ndarray, _numbers: tuple[int, ...], _experts: int) -> bytes:
    """The file's bytes; table: int [layer, device, slot]."""
    return json.dumps(table.reshape(len(table), -1).tolist()).encode()


def read_vllm(content: list[Any]) -> Rows:
    """Raises Problem."""
    shared = bool(content) and not any(isinstance(row, list) for row in content)
    return Rows(slots_of([content] if shared else content, "the map"), "vllm", shared=shared)
