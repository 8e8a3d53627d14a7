"""Search over tables by swaps: local, annealing, tabu, large neighbourhood, and sequences of them.

Every step works on an evaluator, such as Swaps or Blocks beside this module. The best table so far never gets worse,
and the same seed gives the same table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from .limits import Limit

# Smaller gains are rounding.
LEAST = 1e-9


class Evaluator(Protocol):
    """What a search needs of a table. expert: of each replica, and -1 for an empty slot at the end."""

    slot_of: np.ndarray
    replica_in: np.ndarray
    expert: np.ndarray
    objective: float

    def delta(self, first: int, second: int, limit: float = np.inf) -> float:
        """The change of the objective by an exchange of two flat slots; may stop early above `limit`."""
        ...

    def apply(self, first: int, second: int) -> None:
        """Exchange two flat slots."""
        ...


@dataclass
class Search:
    """A search under way.

    state: the table as it stands; rng: decides; limits: what tables it may go through, none where there are none;
    best: replica_in of the best table; history: the best objective after each improvement; tried: how many moves.
    """

    state: Evaluator
    rng: np.random.Generator
    limits: Sequence[Limit] = ()
    tried: int = 0
    history: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.best = self.state.replica_in.copy()
        self.objective = self.state.objective
        self.history.append(self.objective)

    def allowed(self, first: int, second: int) -> bool:
        """Whether the table stays within the limits after an exchange."""
        return all(limit.allows(self.state, first, second) for limit in self.limits)

    def take(self, first: int, second: int) -> None:
        """Apply a move, and keep the table when it is the best so far."""
        self.state.apply(first, second)
        if self.state.objective < self.objective - LEAST:
            self.objective = self.state.objective
            self.best = self.state.replica_in.copy()
            self.history.append(self.objective)

    def pairs(self, tries: int) -> list[list[int]]:
        """Random pairs of slots."""
        return self.rng.integers(len(self.best), size=(tries, 2)).tolist()

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
    size = len(search.best)
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


WORDS: dict[str, tuple[Callable[..., None], int]] = {
    "local": (local, 0),
    "anneal": (anneal, 2),
    "tabu": (tabu, 2),
    "lns": (large_neighbourhood, 1),
}


def steps_of(text: str) -> list[Step]:
    """The steps of a text such as local:2000,anneal:5000:20:0.1,lns:100: words, tries or rounds, and what they take.

    anneal takes the two temperatures in us, tabu how many swaps a round looks at and how long slots rest, lns the
    number of slots. Raises ValueError for other words, for numbers that are not above 0, and for too many of them.
    """
    steps = []
    for part in text.split(","):
        word, *numbers = part.split(":")
        step, more = WORDS.get(word, (None, 0))
        fits = step is not None and 1 <= len(numbers) <= 1 + more
        try:
            values = [float(number) if word == "anneal" and at else int(number) for at, number in enumerate(numbers)]
        except ValueError:
            values = [0]
        if not fits or not all(0 < value < np.inf for value in values):
            raise ValueError(
                f"{part!r} is no step; expected one as local:2000, anneal:5000:20:0.1, tabu:100:20:10 or lns:100:6, "
                "with numbers above 0"
            )
        steps.append(lambda search, step=step, values=values: step(search, *values))
    return steps


def sequence(search: Search, steps: Sequence[Step]) -> None:
    """One step after another, each from the best table so far."""
    for step in steps:
        step(search)
        search.return_to_best()
