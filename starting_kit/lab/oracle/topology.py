"""The topology program: the fewest hops, weighted by load, under slots, loads and copies, by scipy's HiGHS.

Minimise sum of flow[e, o, d] * hops[o, row of d], where held[e, d] is 0 or 1 and flow[e, o, d] from 0 up to
share[e, o] * held[e, d]: all of share[e, o] flows, the part of the choices that are of expert e and come from row o; no
device holds more experts than slots or serves more than the cap; no expert has more replicas than allowed. Flows are
free, so no router does better on the same table under the same cap.
"""

from __future__ import annotations

import numpy as np

from placement.errors import Problem

from ..serving.torus import Torus
from ..traces.batches import Batches
from .outcome import EQUAL, Outcome

# What HiGHS calls a program without a solution.
INFEASIBLE = 2
SECONDS = 20.0


def demand_of(batches: Batches, rows: int) -> np.ndarray:
    """How many choices of each expert come from each row of the grid: int64 [expert, row]."""
    keys = batches.choices * rows + batches.origins[:, None]
    return np.bincount(keys.ravel(), minlength=batches.experts * rows).reshape(batches.experts, rows)


def least_hops(
    demand: np.ndarray,
    torus: Torus,
    slots: int,
    cap: float = 1.1,
    copies: int = 0,
    start: np.ndarray | None = None,
    seconds: float = SECONDS,
) -> Outcome:
    """The table with the fewest hops of a choice, in the mean, under the best flows.

    demand: [expert, row]; cap: no device serves more than so many times the mean device; copies: at most so many
    replicas of an expert, 0 for any number; start: a table [device, slot] within `copies`, which the answer is never
    worse than. Raises Problem where no table meets the cap, and where none is found in `seconds`.
    """
    answer = _solved(demand, torus, slots, cap, copies or torus.devices, None, seconds)
    kept = np.inf if start is None else hops_of(start, demand, torus, cap)
    if answer.status == INFEASIBLE or (answer.x is None and kept == np.inf):
        got = "none" if answer.status == INFEASIBLE else f"none in {seconds:g} s"
        expected = f"a table with no device above {cap:g} times the mean"
        raise Problem("no table meets the cap on device loads", got, expected, "raise the cap or the seconds")
    bound = max(float(answer.mip_dual_bound or 0.0), 0.0)
    work = int(answer.mip_node_count or 0)
    if answer.x is None or kept < answer.fun - EQUAL:
        return Outcome(np.array(start, np.int64), kept, min(bound, kept), work)
    held = answer.x[: len(demand) * torus.devices].reshape(len(demand), torus.devices) > 0.5
    table = np.full((torus.devices, slots), -1, np.int64)
    for at, on in enumerate(held.T):
        table[at, : on.sum()] = np.flatnonzero(on)
    objective = max(float(answer.fun), 0.0)
    return Outcome(table, objective, min(bound, objective), work)


def hops_of(table: np.ndarray, demand: np.ndarray, torus: Torus, cap: float = np.inf) -> float:
    """The fewest hops of a choice, in the mean, that flows reach on a table; infinity where none keep to the cap."""
    held = np.stack([(table == expert).any(axis=1) for expert in range(len(demand))])
    answer = _solved(demand, torus, table.shape[1], min(cap, torus.devices), torus.devices, held, SECONDS)
    return np.inf if answer.x is None else max(float(answer.fun), 0.0)


def _solved(
    demand: np.ndarray, torus: Torus, slots: int, cap: float, copies: int, held: np.ndarray | None, seconds: float
) -> object:
    """What HiGHS answers. held: bool [expert, device], for a table that is given."""
    from scipy.optimize import LinearConstraint, milp
    from scipy.sparse import coo_array, csr_array

    experts, devices = len(demand), torus.devices
    expert, row = np.nonzero(demand)
    share = demand[expert, row] / demand.sum()
    holds, flows = experts * devices, len(share) * devices
    # Columns: held[e, d], then the flow of each (expert, row) with demand to each device.
    pair, device = np.divmod(np.arange(flows), devices)
    column, hold = holds + np.arange(flows), expert[pair] * devices + device

    def rows(number: int, *entries: tuple[np.ndarray, np.ndarray, np.ndarray]) -> csr_array:
        at, columns, values = (np.concatenate(parts) for parts in zip(*entries, strict=True))
        return coo_array((values, (at, columns)), shape=(number, holds + flows)).tocsr()

    one, each = np.ones(flows), np.arange(holds)
    constraints = [
        # All flows; only where the expert is; devices' loads, slots; replicas.
        LinearConstraint(rows(len(share), (pair, column, one)), share, share),
        LinearConstraint(
            rows(flows, (np.arange(flows), column, one), (np.arange(flows), hold, -share[pair])), -np.inf, 0
        ),
        LinearConstraint(rows(devices, (device, column, one)), -np.inf, cap / devices),
        LinearConstraint(rows(devices, (each % devices, each, np.ones(holds))), -np.inf, slots),
        LinearConstraint(rows(experts, (each // devices, each, np.ones(holds))), 1, copies),
    ]
    cost = np.append(np.zeros(holds), torus.hops[row[pair], torus.row(device)])
    fixed = np.zeros(holds) if held is None else held.ravel().astype(float)
    free = np.ones(holds) if held is None else fixed
    return milp(
        cost,
        integrality=np.append(np.ones(holds), np.zeros(flows)),
        bounds=(np.append(fixed, np.zeros(flows)), np.append(free, one)),
        constraints=constraints,
        options={"time_limit": seconds, "mip_rel_gap": 1e-6},
    )
