"""Detects tokens of one choice that name expert 0 in every layer: real choices, or rows that an engine never filled."""

from __future__ import annotations

import numpy as np


class ZeroRows:
    """Counts such tokens, and how many would be there by chance."""

    def __init__(self) -> None:
        self._tokens = self._rows = 0
        self._zeros: np.ndarray | int = 0

    def add(self, ids: np.ndarray) -> None:
        """ids: integers [token, layer, choice] of a request, -1 for none. With more choices nothing is counted."""
        if ids.shape[2] > 1:
            return
        zero = ids[:, :, 0] <= 0
        self._tokens += len(ids)
        self._rows += int(zero.all(axis=1).sum())
        self._zeros = self._zeros + zero.sum(axis=0)

    def notes(self, dense: np.ndarray) -> list[str]:
        """The note, where there are far more than chance gives; dense: bool [layer], those that do not route."""
        if self._rows < 2:
            return []
        expected = self._tokens * np.prod(self._zeros[~dense] / self._tokens)
        if self._rows <= 2 + 3 * expected:
            return []
        return [
            f"{self._rows} of {self._tokens} tokens name expert 0 in every layer ({self._rows / self._tokens:.0%}; by"
            f" chance {expected:.0f}), as rows that the engine never filled: record again without prefix caching and"
            " without prompts in parts"
        ]
