"""The grid of devices: rows x cols, device = row * cols + col, rows closed to rings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Torus:
    """A grid of rows x cols devices. Raises ValueError for a grid without devices."""

    rows: int = 16
    cols: int = 8

    def __post_init__(self) -> None:
        if self.rows < 1 or self.cols < 1:
            raise ValueError(f"a grid of {self.rows} x {self.cols} has no devices; expected at least 1 x 1")

    @property
    def devices(self) -> int:
        """How many devices the grid has."""
        return self.rows * self.cols

    @cached_property
    def hops(self) -> np.ndarray:
        """Hops from row to row, the shorter way round the ring: int64 [row, row]."""
        apart = np.abs(np.arange(self.rows)[:, None] - np.arange(self.rows))
        return np.minimum(apart, self.rows - apart)

    def row(self, device: np.ndarray) -> np.ndarray:
        """The row of each device."""
        return device // self.cols

    def col(self, device: np.ndarray) -> np.ndarray:
        """The column of each device."""
        return device % self.cols
