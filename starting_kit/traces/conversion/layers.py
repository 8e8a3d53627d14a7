"""Layers without experts: dense ones, whose rows a recorder leaves at zero."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .recording import ranges


def without_dense(hotness: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """hotness [iteration, layer, expert] without the layers that never have a token, and a note when there are any.

    A recording in which no layer has a token is returned as it is.
    """
    dense = dense_layers(hotness)
    if not dense.any() or dense.all():
        return hotness, []
    return hotness[:, ~dense], [dropped(dense)]


def dense_layers(hotness: np.ndarray) -> np.ndarray:
    """bool [layer]: no token in any iteration."""
    return ~hotness.any(axis=(0, 2))


def dropped(dense: np.ndarray, numbers: Sequence[int] | None = None) -> str:
    """The note for layers, bool [layer], that were left out; numbers: of the layers, by default 0, 1, ..."""
    names = np.arange(len(dense)) if numbers is None else np.array(numbers)
    left_out, every = ranges(names[dense].tolist()), f"{names[0]} .. {names[-1]}"
    return f"dense layers left out: {left_out} of {every}; {len(dense) - int(dense.sum())} layers remain"
