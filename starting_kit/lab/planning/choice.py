"""One way to plan a layer, by words: which method, for which load."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from placement.ds_eplb import ds_eplb
from planning.levelling import levelled
from planning.replication import robust_load

from ..serving.cost import latency
from ..serving.replicas import Replicas, replicas_of
from ..serving.torus import Torus
from ..traces.batches import Batches
from ..traces.statistics import coactivation
from .affinity import affinity_table
from .even import even_table

METHODS = ("even", "hierarchical", "affinity")
HEDGES = ("mean", "mean_std", "p95")


@dataclass(frozen=True)
class Choice:
    """How a layer is planned.

    slots: per device; shared: whether the shared expert is planned too, or "ordinary" as even_table has it; replicate,
    pack, spread: of even_table; hedge, alpha: of robust_load, the load to plan for; groups, nodes: of DeepSeek's
    hierarchical planner; exchanges: whether packing is followed by them. Raises ValueError for another method or hedge,
    and for words that the method does not know.
    """

    method: str = "even"
    slots: int = 3
    shared: bool | str = False
    replicate: str = "load"
    pack: str = "heaviest"
    spread: bool = False
    hedge: str = "mean"
    alpha: float = 0.0
    groups: int = 1
    nodes: int = 1
    exchanges: bool = True

    def __post_init__(self) -> None:
        for name, words in (("method", METHODS), ("hedge", HEDGES)):
            if getattr(self, name) not in words:
                raise ValueError(f"the {name} is {', '.join(words)}, got {getattr(self, name)!r}")
        foreign = {
            "groups and nodes belong to the method hierarchical": self.method != "hierarchical"
            and (self.groups, self.nodes) != (1, 1),
            "replicate, pack and spread belong to the method even": self.method != "even"
            and (self.replicate, self.pack, self.spread) != ("load", "heaviest", False),
            "exchanges within rows belong to the method affinity": self.method == "affinity" and not self.exchanges,
            "an ordinary shared expert belongs to the method even": self.method != "even" and self.shared == "ordinary",
        }
        for said, wrong in foreign.items():
            if wrong:
                raise ValueError(f"{said}, got the method {self.method}")
        if self.method == "hierarchical" and self.shared:
            raise ValueError("the hierarchical method plans no shared expert: it fills as many slots on every device")


def chosen_table(batches: Batches, choice: Choice, torus: Torus, load: np.ndarray | None = None) -> np.ndarray:
    """Plan one layer: int64 [device, slot].

    batches: routed experts alone; load: tokens [batch, expert] to plan for, instead of those of the batches. Raises
    ValueError as table_for does.
    """
    load = batches.load if load is None else load
    return table_for(
        load, choice, torus, batches.choices.shape[1], lambda: coactivation(batches.choices, batches.experts)
    )


def table_for(
    load: np.ndarray,
    choice: Choice,
    torus: Torus,
    top_k: int,
    together: Callable[[], np.ndarray] | None = None,
) -> np.ndarray:
    """Plan one layer from loads: int64 [device, slot].

    load: tokens [batch, expert] of routed experts; top_k: routed experts of a token; together: gives the tokens of each
    pair [expert, expert], for the method affinity. Raises ValueError as even_table and ds_eplb do, and for affinity
    without pairs.
    """
    if choice.hedge != "mean":
        load = robust_load(load, choice.hedge, choice.alpha)[None]
    if choice.method == "hierarchical":
        return _hierarchical(load.mean(axis=0), choice, torus)
    if choice.method == "affinity":
        if together is None:
            raise ValueError("the method affinity needs tokens, got loads alone")
        return affinity_table(load, together(), torus, choice.slots, choice.shared, top_k=top_k)
    words = choice.shared, choice.replicate, choice.pack, choice.spread
    return even_table(load, torus, choice.slots, *words, choice.exchanges, top_k=top_k)


def robust_table(
    several: Mapping[str, Batches],
    choice: Choice,
    torus: Torus,
    router: Callable[[Batches, Replicas], np.ndarray],
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The table whose worst ratio to the specialists' mean latency is least, over several data sets: [device, slot].

    several: by data set, of one layer, routed experts alone. The candidates are planned for one data set each, and for
    the mean and the largest of the data sets' shares, to which a hedge does nothing; a specialist is the table that is
    planned for the data set itself. Returns the table, and by candidate the ratios, float64 [data set], in sample:
    measured on what was planned from.
    """
    shares = [batches.load / batches.load.sum(axis=1, keepdims=True) for batches in several.values()]
    means = np.stack([share.mean(axis=0) for share in shares])
    # As many tokens as the data sets' batches have on average: whole blocks are counted.
    tokens = np.mean([batches.load.sum(axis=1).mean() for batches in several.values()])
    first = next(iter(several.values()))
    tables = {f"for {name}": chosen_table(batches, choice, torus) for name, batches in several.items()}
    for name, share in (("mean of shares", means.mean(axis=0)), ("largest of shares", means.max(axis=0))):
        tables[name] = chosen_table(first, choice, torus, np.rint(tokens * share)[None])
    served = [batches.with_shared() if choice.shared else batches for batches in several.values()]
    listed = [replicas_of(table, served[0].experts) for table in tables.values()]
    taken = np.array(
        [[latency(b, replicas, router(b, replicas), torus).total.mean() for b in served] for replicas in listed]
    )
    ratios = dict(zip(tables, taken / taken.diagonal(), strict=True))
    return tables[min(ratios, key=lambda name: ratios[name].max())], ratios


def _hierarchical(load: np.ndarray, choice: Choice, torus: Torus) -> np.ndarray:
    """DeepSeek's planner, and exchanges within each node, so that a group's replicas stay on it, unless unwanted."""
    redundant = torus.devices * choice.slots - len(load)
    table = ds_eplb(load[None], torus.devices, redundant, choice.groups, choice.nodes)[0]
    if not choice.exchanges:
        return table
    weight = load / np.bincount(table.ravel(), minlength=len(load))
    return np.concatenate([levelled(part, weight) for part in np.split(table, choice.nodes)])
