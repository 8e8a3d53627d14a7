"""CP-SAT of ortools (the extra `lab`): the least largest device load, of a whole layer or of one row of the grid."""

from __future__ import annotations

from math import lcm
from types import ModuleType

import numpy as np

from placement.errors import Problem

from ..serving.measures import even_loads
from .outcome import Outcome

# What is proven in seconds; beyond either, a piece is refused.
DEVICES, REPLICAS = 8, 24
# Of loads in whole parts, with room for sums in 64 bits.
LARGEST = 1 << 50
# Deterministic seconds of the solver, which are the same on every machine.
SECONDS = 10.0


def solver() -> ModuleType:
    """ortools' CP-SAT. Raises Problem where it is not installed."""
    try:
        from ortools.sat.python import cp_model
    except ImportError:
        # ortools alone would bring a numpy that the environment's scipy does not know.
        install = "in the top folder, .venv/bin/python -m pip install ortools -r requirements.txt"
        next_step = f"{install}; or take the solver `branch`, which needs no package"
        raise Problem("CP-SAT needs ortools", "it is not installed", "the extra `lab`", next_step) from None
    return cp_model


def least_load_cp(
    load: np.ndarray,
    devices: int,
    slots: int,
    start: np.ndarray | None = None,
    seconds: float = SECONDS,
    counts: np.ndarray | None = None,
    seed: int = 0,
) -> Outcome:
    """The table whose largest device load is least: each replica serves an equal part of its expert's load.

    load: integers [expert], not negative; start: a table [device, slot], which the answer is never worse than; counts:
    replicas of each expert, for a piece whose replicas are given; seconds: of deterministic time. A device may hold an
    expert twice, and a slot may stay empty. The objective is in units of load, whose parts are made whole numbers: it
    is exact unless an expert may have dozens of replicas. Raises Problem for a piece of more than DEVICES devices and
    more than REPLICAS slots, and without ortools; ValueError for too few slots.
    """
    load, experts = np.asarray(load, np.int64), len(load)
    size = devices * slots
    if devices > DEVICES and size > REPLICAS:
        got, expected = f"{devices} devices of {slots} slots", f"up to {DEVICES} devices or {REPLICAS} replicas"
        raise Problem("the piece is too large for CP-SAT", got, expected, "solve it row by row, or a smaller grid")
    if size < experts or (counts is not None and counts.sum() > size):
        raise ValueError(f"{size} slots cannot hold {experts if counts is None else counts.sum()} replicas")
    cp_model = solver()
    model = cp_model.CpModel()
    numbers = range(1, size - experts + 2)
    kinds = [numbers if counts is None else [int(counts[expert])] for expert in range(experts)]
    exact = lcm(*{number for kind in kinds for number in kind})
    unit = min(exact, max(1, LARGEST // max(1, int(load.sum()))))
    chosen, held = {}, {}
    for expert, kind in enumerate(kinds):
        for number in kind:
            chosen[expert, number] = model.new_bool_var(f"count {expert} {number}")
            on = [model.new_int_var(0, min(number, slots), f"held {expert} {number} {at}") for at in range(devices)]
            held[expert, number] = on
            model.add(sum(on) == number * chosen[expert, number])
        model.add_exactly_one(chosen[expert, number] for number in kind)
    largest = model.new_int_var(0, int(load.sum()) * unit + size, "largest load")
    for at in range(devices):
        model.add(sum(on[at] for on in held.values()) <= slots)
        carried = sum(round(int(load[expert]) * unit / number) * on[at] for (expert, number), on in held.items())
        model.add(carried <= largest)
    model.minimize(largest)
    if start is not None:
        _hint(model, np.asarray(start), chosen, held)
    running = cp_model.CpSolver()
    running.parameters.num_workers = 1
    running.parameters.random_seed = seed
    running.parameters.max_deterministic_time = seconds
    found = running.solve(model) in (cp_model.OPTIMAL, cp_model.FEASIBLE)
    table, work = np.full((devices, slots), -1, np.int64), int(running.num_branches)
    if found:
        for at in range(devices):
            experts_on = [expert for (expert, _), on in held.items() for _ in range(running.value(on[at]))]
            table[at, : len(experts_on)] = sorted(experts_on)
    # Where parts were rounded, each replica by half a unit at most.
    slack = 0 if unit == exact else size
    bound = max((running.best_objective_bound - slack) / unit, load.sum() / devices)
    if start is not None and (not found or even_loads(start, load).max() < even_loads(table, load).max()):
        table, found = np.array(start, np.int64), True
    if not found:
        got, expected = f"no table in {seconds:g} deterministic seconds", "a table"
        raise Problem("CP-SAT found no table", got, expected, "give it more seconds, or a table to start from")
    objective = float(even_loads(table, load).max())
    return Outcome(table, objective, min(bound, objective), work)


def _hint(model: object, start: np.ndarray, chosen: dict, held: dict) -> None:
    for (expert, number), on in held.items():
        is_count = np.count_nonzero(start == expert) == number
        model.add_hint(chosen[expert, number], is_count)
        for at, variable in enumerate(on):
            model.add_hint(variable, int(np.count_nonzero(start[at] == expert)) if is_count else 0)
