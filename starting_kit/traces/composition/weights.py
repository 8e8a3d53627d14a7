"""How likely each topic's requests are over time: e^x of the topic, in proportion to the others'.

stationary   x = 0
drifting     x <- x (1 - 1 / MEMORY) + N(0, 2 / MEMORY) in every iteration, each topic for itself; x begins as N(0, 1),
             which is how it is spread in the long run
switching    x = UP for one topic, DOWN for the others, the topic drawn anew at each switch: it may be the same
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

MEMORY = 400.0
UP, DOWN = 2.0, -3.0

Course = Callable[[int, tuple[int, int], np.random.Generator], Iterator[np.ndarray]]


def _stationary(topics: int, apart: tuple[int, int], rng: np.random.Generator) -> Iterator[np.ndarray]:
    while True:
        yield np.zeros(topics)


def _drifting(topics: int, apart: tuple[int, int], rng: np.random.Generator) -> Iterator[np.ndarray]:
    x = rng.standard_normal(topics)
    while True:
        yield x
        x = x * (1 - 1 / MEMORY) + np.sqrt(2 / MEMORY) * rng.standard_normal(topics)


def _switching(topics: int, apart: tuple[int, int], rng: np.random.Generator) -> Iterator[np.ndarray]:
    while True:
        x = np.full(topics, DOWN)
        x[rng.integers(topics)] = UP
        for _ in range(rng.integers(apart[0], apart[1] + 1)):
            yield x


# x of each iteration, float64 [topic], without end; apart: the least and the most iterations between switches.
COURSES: dict[str, Course] = {"stationary": _stationary, "drifting": _drifting, "switching": _switching}
