"""The champion's ingredients, each left out or replaced alone, and the replay of what is then left.

A variant is a copy of the champion's module of its own, in which some names stand for something else, so that nothing
changes for the champion. All is replayed in one process, and no time limit ends a case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

import numpy as np

from commands.places import KIT
from placement.answer import Redeployment
from placement.grid import Case, Cost
from placement.isolation.interface import policy_case
from placement.replay import replay
from placement.results import measures
from placement.trace import Trace
from planning.alignment import align_slots
from planning.gate import worthwhile
from planning.memory import Memory
from planning.regimes import Regimes
from traces.reference import ds_eplb_policy

CHAMPION = KIT / "policies" / "champion" / "policy.py"


class Noiseless(Regimes):
    def outlook(self) -> Memory:
        blocks = super().outlook()
        return blocks.of(blocks.means, np.zeros_like(blocks.noise), blocks.weights)


class AllSeen(Regimes):
    def add(self, hotness: np.ndarray) -> None:
        self.now.add(hotness)


class LastWindow(Regimes):
    def add(self, hotness: np.ndarray) -> None:
        self.now.forget(len(self.now.means))
        self.now.add(hotness)


class NothingReturns(Regimes):
    def outlook(self) -> Memory:
        self.explained.clear()
        return super().outlook()


class NotPooled(Regimes):
    def outlook(self) -> Memory:
        self.before = None
        return super().outlook()


def _among(*candidates: int) -> Callable[..., Redeployment]:
    chosen = list(candidates)
    return lambda gains, tables, *rest: worthwhile(gains[chosen], tables[chosen], *rest)


# What is left out, and what stands for names of the champion's module then. Its candidates: the new placement, the one
# that moves little, the mended live table.
INGREDIENTS: dict[str, dict[str, Any]] = {
    "noise of iterations": {"Regimes": Noiseless},
    "what an expert does alone (ALONE 0)": {"ALONE": 0.0},
    "both of these (NOISE 0)": {"NOISE": 0.0},
    "what rises together (TOGETHER 0)": {"TOGETHER": 0.0},
    "three numbers of replicas (only for 0.5)": {"REPLICAS_FOR": (0.5,)},
    "the new placements (mended only)": {"worthwhile": _among(2)},
    "the new placement that moves little": {"worthwhile": _among(0, 2)},
    "the mended live table": {"worthwhile": _among(0, 1)},
    "spare replicas given away": {"reassign": lambda forecast, table, *rest: table},
    "devices renamed (slots aligned only)": {"relabel": lambda table, live, experts: align_slots(table, live)},
    "relabelling (neither)": {"relabel": lambda table, live, experts: table},
    "regimes (all blocks seen, for ever)": {"Regimes": AllSeen},
    "regimes (the window alone)": {"Regimes": LastWindow},
    "loads that come back": {"Regimes": NothingReturns},
    "deviations of the regime before": {"Regimes": NotPooled},
    "the price (CAUTION 0: every gain is taken)": {"CAUTION": 0.0},
    "caution beyond the price (CAUTION 1)": {"CAUTION": 1.0},
}


def variant(replaced: Mapping[str, Any]) -> type:
    """The champion's class from a copy of its module in which names stand for something else."""
    spec = spec_from_file_location("champion", CHAMPION)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module).update(replaced)
    return module.Policy


def measure(trace: Trace, case: Case, cost: Cost, replaced: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a score comes from: measures of a variant's replay, or of DS-EPLB's for None, and the costs.

    The trace must fit the case. Raises PolicyError for an answer that breaks a rule.
    """
    answer = ds_eplb_policy(trace, case)
    if replaced is not None:
        policy = variant(replaced)(policy_case(case, cost, trace.iterations))

        def answer(start: int, stop: int, deployment: np.ndarray, iteration: int) -> Redeployment | None:
            return policy.rebalance(trace.window(start, stop), deployment, iteration)

    return measures(replay(trace, case, answer), trace) | {"cost": asdict(cost)}
