"""Branch and bound in plain Python: the least largest device load, over replica counts and devices together.

An expert after another, those of the most load first, gets replicas on some devices. What is left must go to devices
that have slots: filled to one level, it gives the bound of a node.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from planning.packing import heaviest_first

from ..serving.measures import even_loads
from .outcome import EQUAL, Outcome

NODES = 3_000_000


def least_load(
    load: np.ndarray,
    devices: int,
    slots: int,
    start: np.ndarray | None = None,
    nodes: int = NODES,
    counts: np.ndarray | None = None,
    gap: float = EQUAL,
) -> Outcome:
    """The table whose largest device load is least: each replica serves an equal part of its expert's load.

    load: [expert], not negative; start: a table [device, slot], which the answer is never worse than, by default
    heaviest first; nodes: after so many tries to place an expert the best table so far is returned, with the bound of
    what was not looked at; counts: replicas of each expert, where they are given; gap: what is left unproven, as a part
    of the objective. A device may hold an expert twice, and a slot may stay empty. The objective is in units of load.
    Raises ValueError for too few slots.
    """
    load = np.asarray(load, np.float64)
    needed = len(load) if counts is None else int(counts.sum())
    if devices * slots < needed:
        raise ValueError(f"{devices * slots} slots cannot hold {needed} replicas")
    search = _Tree(load, devices, slots, counts, nodes, gap)
    if start is None:
        each = np.ones(len(load), np.int64) if counts is None else counts
        ids, empty = np.repeat(np.arange(len(load)), each), np.full((devices, slots), -1)
        start = heaviest_first(ids, (load / each)[ids], empty, np.zeros(devices))
    search.best, search.table = float(even_loads(start, load).max()), np.array(start, np.int64)
    search.look(0, [(0.0, slots, device) for device in range(devices)], 0.0)
    bound = min(search.open, search.best)
    return Outcome(search.table, search.best, bound, search.looked)


class _Tree:
    """The search under way. open: the least bound of what was not looked at."""

    def __init__(
        self, load: np.ndarray, devices: int, slots: int, counts: np.ndarray | None, nodes: int, gap: float
    ) -> None:
        self.order = np.argsort(-load, kind="stable").tolist()
        self.load = load[self.order].tolist()
        self.rest = [*np.cumsum(self.load[::-1])[::-1].tolist(), 0.0]
        self.counts = None if counts is None else counts[self.order].tolist()
        self.slots, self.nodes, self.gap = slots, nodes, gap
        self.open, self.looked = np.inf, 0
        self.best, self.table = np.inf, np.full((devices, slots), -1, np.int64)
        self.chosen: list[list[tuple[int, int]]] = []

    def look(self, place: int, state: list[tuple[float, int, int]], bound: float) -> None:
        """Place an expert and those after it. state: (load, empty slots, device) of each device."""
        if place == len(self.load) and bound < self.best:
            self.best = max(carried for carried, _, _ in state)
            self._keep()
        if bound >= self.best * (1 - self.gap) or self.looked >= self.nodes:
            self.open = min(self.open, bound)
            return
        children = []
        for count in self._counts(place, sum(free for _, free, _ in state)):
            part = self.load[place] / count
            room = [min(free, count, int((self.best - carried) / part) if part else free) for carried, free, _ in state]
            for given in _ways(state, room, count, sum(room)):
                if self.looked >= self.nodes:
                    self.open = min(self.open, bound)
                    break
                self.looked += 1
                after = [
                    (carried + part * number, free - number, device)
                    for (carried, free, device), number in zip(state, given, strict=True)
                ]
                after.sort()
                level = max(max(carried for carried, _, _ in after), _level(after, self.rest[place + 1]))
                if level < self.best:
                    taken = [(device, number) for (_, _, device), number in zip(state, given, strict=True) if number]
                    children.append((level, count, taken, after))
        children.sort(key=lambda child: child[:2])
        for level, _, taken, after in children:
            self.chosen.append(taken)
            self.look(place + 1, after, level)
            self.chosen.pop()

    def _counts(self, place: int, empty: int) -> Sequence[int]:
        """The numbers of replicas that leave a slot for every later expert."""
        if self.counts is not None:
            return [self.counts[place]]
        return range(1, empty - (len(self.load) - place - 1) + 1)

    def _keep(self) -> None:
        held: list[list[int]] = [[] for _ in self.table]
        for expert, taken in zip(self.order, self.chosen, strict=True):
            for device, number in taken:
                held[device] += [expert] * number
        self.table = np.array([sorted(one) + [-1] * (self.slots - len(one)) for one in held], np.int64)


def _ways(
    state: list[tuple[float, int, int]], room: list[int], count: int, left: int, place: int = 0, same: int = 0
) -> Iterator[tuple[int, ...]]:
    """How many of `count` replicas each device gets, at most its room; of devices that are alike, an earlier one gets
    no fewer. left: the room of the devices from `place` on.
    """
    if place == len(state):
        if not count:
            yield ()
        return
    if count > left:
        return
    alike = place > 0 and state[place - 1][:2] == state[place][:2]
    for number in range(min(count, room[place], same if alike else count), -1, -1):
        for rest in _ways(state, room, count - number, left - room[place], place + 1, number):
            yield (number, *rest)


def _level(state: list[tuple[float, int, int]], left: float) -> float:
    """The level that what is left fills the devices with empty slots to, the lowest first; 0 where nothing is left."""
    if not left:
        return 0.0
    height, number = 0.0, 0
    for carried, free, _ in state:
        if not free:
            continue
        if number and carried >= (height + left) / number:
            break
        height, number = height + carried, number + 1
    return (height + left) / number if number else np.inf
