"""Layers of choices that are made or mapped when they are asked for, so that no command holds all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np


class LazyLayers:
    """Looks like an array [layer, token, k] of integers, or of scores, and holds none.

    make: a layer's values [token, k] by its position; dtype: of np.asarray, which makes all of them. `layers[3]` is one
    layer's array, `layers[1:]` and `layers[:, tokens]` are layers again.
    """

    ndim = 3

    def __init__(self, shape: tuple[int, int, int], make: Callable[[int], np.ndarray], dtype: Any = np.int32) -> None:
        self.shape = shape
        self._make, self._dtype = make, dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return map(self._make, range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, tuple):
            layers, tokens = index
            chosen = self[layers]
            if isinstance(chosen, np.ndarray):
                return chosen[tokens]
            count = len(np.empty((self.shape[1], 0))[tokens])
            return LazyLayers((len(chosen), count, self.shape[2]), lambda layer: chosen[layer][tokens], self._dtype)
        positions = np.arange(len(self))[index]
        if positions.ndim == 0:
            return self._make(int(positions))
        made = (len(positions), *self.shape[1:]), lambda layer: self._make(int(positions[layer]))
        return LazyLayers(*made, self._dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.stack(list(self)).astype(dtype or self._dtype)
