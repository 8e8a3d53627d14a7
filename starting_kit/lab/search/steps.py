"""Search over tables by swaps: local, annealing, tabu, large neighbourhood, sequences of them, and restarts.

Every step works on an evaluator with `delta(first, second, limit)`, `apply(first, second)` and `objective`, such as
Swaps or Blocks beside this module. The best table so far never gets worse, and the same seed gives the same table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

# Smaller gains are rounding.
LEAST = 1e-9


class Evaluator(Protocol):
    """What a search needs of a table."""

    slot_of: np.ndarray
    replica_in: np.ndarray

    @property
    def objective(self) -> float: ...

    def delta(self, first: int, second: int, limit: float = np.inf) -> float: ...

    def apply(self, first: int, second: int) -> None: ...


@dataclass
class Search:
    """A search under way.

    state: the table as it stands; rng: decides; moved_budget: at most so many slots may differ from the start, or None;
    best: replica_in of the best table; history: the best objective after each improvement; tried: how many moves.
    """

    state: Evaluator
    rng: np.random.Generator
    moved_budget: int | None = None
    tried: int = 0
    history: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start = self.state.replica_in.copy()
        self.best = self.start.copy()
        self.objective = self.state.objective
        self.history.append(self.objective)

    def allowed(self, first: int, second: int) -> bool:
        """Whether the slots that differ from the start stay within the budget after an exchange."""
        if self.moved_budget is None:
            return True
        now, start = self.state.replica_in, self.start
        moved = int(np.count_nonzero(now != start))
        for slot, other in ((first, second), (second, first)):
            moved += int(now[other] != start[slot]) - int(now[slot] != start[slot])
        return moved <= self.moved_budget

    def take(self, first: int, second: int) -> None:
        """Apply a move, and keep the table when it is the best so far."""
        self.state.apply(first, second)
        if self.state.objective < self.objective - LEAST:
            self.objective = self.state.objective
            self.best = self.state.replica_in.copy()
            self.history.append(self.objective)

    def pairs(self, tries: int) -> list[list[int]]:
        """Random pairs of slots."""
        return self.rng.integers(len(self.start), size=(tries, 2)).tolist()

    def return_to_best(self) -> None:
        """Make the best table the one that stands."""
        for slot in range(len(self.best)):
            wanted = self.best[slot]
            if self.state.replica_in[slot] != wanted:
                other = self.state.slot_of[wanted] if wanted >= 0 else self._empty_to_fill(slot)
                self.state.apply(slot, int(other))

    def _empty_to_fill(self, slot: int) -> int:
        later = np.flatnonzero(self.state.replica_in == -1)
        return int(later[later > slot][0])


Step = Callable[[Search], None]


def local(search: Search, tries: int) -> None:
    """Take every random swap that improves the objective."""
    for first, second in search.pairs(tries):
        search.tried += 1
        if search.allowed(first, second) and search.state.delta(first, second, -LEAST) < -LEAST:
            search.take(first, second)


def anneal(search: Search, tries: int, hot: float = 1.0, cold: float = 0.01) -> None:
    """Take worse swaps too, with probability exp(-delta / temperature), which falls from hot to cold, in us."""
    for number, (first, second) in enumerate(search.pairs(tries)):
        search.tried += 1
        temperature = hot * (cold / hot) ** (number / max(1, tries - 1))
        limit = -temperature * float(np.log(max(search.rng.random(), 1e-300)))
        if search.allowed(first, second) and search.state.delta(first, second, limit) <= limit:
            search.take(first, second)
    search.return_to_best()


def tabu(search: Search, rounds: int, width: int = 20, tenure: int = 10) -> None:
    """Take the best of `width` random swaps in every round, worse ones too; moved slots rest for `tenure` rounds."""
    resting: dict[int, int] = {}
    for number in range(rounds):
        candidates = []
        for first, second in search.pairs(width):
            search.tried += 1
            if first == second or not search.allowed(first, second):
                continue
            delta = search.state.delta(first, second)
            rests = max(resting.get(first, -1), resting.get(second, -1)) >= number
            # A swap that leads to the best table so far may break the rest.
            if not rests or search.state.objective + delta < search.objective - LEAST:
                candidates.append((delta, first, second))
        if candidates:
            _, first, second = min(candidates)
            search.take(first, second)
            resting[first] = resting[second] = number + tenure
    search.return_to_best()


def large_neighbourhood(search: Search, rounds: int, slots: int = 6) -> None:
    """Take some slots at random, exchange their contents greedily pair by pair, and go back unless that was better."""
    size = len(search.start)
    for _ in range(rounds):
        chosen = search.rng.choice(size, size=min(slots, size), replace=False).tolist()
        before, done = search.state.objective, []
        shaken = search.rng.permutation(chosen).tolist()
        moves = [(a, b) for a, b in zip(chosen, shaken, strict=True) if a != b]
        moves += [(a, b) for at, a in enumerate(chosen) for b in chosen[at + 1 :]]
        for number, (first, second) in enumerate(moves):
            search.tried += 1
            if not search.allowed(first, second):
                continue
            if number < len(chosen) // 2 or search.state.delta(first, second) < -LEAST:
                search.take(first, second)
                done.append((first, second))
        if search.state.objective > before + LEAST:
            for first, second in reversed(done):
                search.state.apply(first, second)
    search.return_to_best()


def sequence(search: Search, steps: Sequence[Step]) -> None:
    """One step after another, each from the best table so far."""
    for step in steps:
        step(search)
        search.return_to_best()


def restarts(
    make: Callable[[], Evaluator], steps: Sequence[Step], seed: int, times: int, moved_budget: int | None = None
) -> Search:
    """The best of several searches with the seeds seed, seed + 1, ... make: a fresh evaluator of the same start."""
    searches = []
    for number in range(times):
        search = Search(make(), np.random.default_rng(seed + number), moved_budget)
        sequence(search, steps)
        searches.append(search)
    return min(searches, key=lambda search: search.objective)
