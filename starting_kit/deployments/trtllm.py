"""TensorRT-LLM's load balancer file: YAML, a list of slots under each of the model's layer numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import yaml

from .rows import Rows, slots_of, wrong

KEY, SLOTS, UPDATES = "initial_global_assignments", "num_slots", "layer_updates_per_iter"


def trtllm_text(table: np.ndarray, numbers: tuple[int, ...], _experts: int) -> bytes:
    """The file's bytes; table: int [layer, device, slot]; numbers: the model's, of each layer of the table.

    No layer is updated while serving, so that the placement stays.
    """
    flat = table.reshape(len(table), -1)
    rows = {number: row.tolist() for number, row in zip(numbers, flat, strict=True)}
    content = {SLOTS: flat.shape[1], KEY: rows, UPDATES: 0}
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=10_000).encode()


def read_trtllm(content: Mapping[str, Any]) -> Rows:
    """Read the rows of a file's content. Raises Problem."""
    rows = content[KEY]
    if not isinstance(rows, dict) or not all(type(layer) is int and layer >= 0 for layer in rows) or not rows:
        raise wrong(
            f"{KEY} is not a mapping of layers", type(rows).__name__, "a list of slots under each layer's number"
        )
    layers = tuple(sorted(rows))
    slots = slots_of([rows[layer] for layer in layers], KEY)
    if (stated := content.get(SLOTS)) != slots.shape[1]:
        raise wrong(f"{SLOTS} is not the length of the lists", f"{stated}", f"{slots.shape[1]}", f"correct {SLOTS}")
    return Rows(slots, "trtllm", layers)
