"""Whole plans of a layer: copies, the shared expert, packing, rows; and the rules that a plan must keep."""

from __future__ import annotations

import numpy as np

from placement.ds_eplb import ds_eplb, pack, replicate
from planning.packing import deal_out, heaviest_first
from planning.replication import copies_by_blocks, copies_by_load, one_more

from .batches import Batches
from .copies import Copies, copies_of
from .measures import row_traffic
from .torus import Torus

BLOCK = 32


def even_plan(
    load: np.ndarray,
    torus: Torus,
    slots_per_device: int = 3,
    shared: bool | str = True,
    replicate: str = "load",
    pack: str = "heaviest",
    spread: bool = False,
    top_k: int = 8,
) -> np.ndarray:
    """Replicate and pack one layer.

    load: routed experts' tokens [batch, expert]; shared: whether the expert with the next id gets a copy in every row,
    columns in turn, or "ordinary" for as many copies as its load earns; replicate: "load" (even split), "blocks" (by 32
    tokens) or "single" (+1 copies); pack: "heaviest" or "pairs"; spread: heaviest first, copies of an expert on rows
    that have none, as long as there are such; top_k: routed experts of a token, from which the shared one's load
    follows. Returns int64 [device, slot]. Raises ValueError for too few slots, or an unknown word.
    """
    if shared not in (True, False, "ordinary"):
        raise ValueError(f"shared is True, False or 'ordinary', got {shared!r}")
    if pack not in ("heaviest", "pairs"):
        raise ValueError(f"pack is heaviest or pairs, got {pack!r}")
    load = np.atleast_2d(np.asarray(load))
    tokens = load.sum(axis=1, keepdims=True) / min(top_k, load.shape[1])
    if shared == "ordinary":
        load, shared = np.hstack([load, tokens]), False
    experts, total = load.shape[1], torus.devices * slots_per_device
    plan = np.full((torus.devices, slots_per_device), -1, np.int64)
    carried = np.zeros(torus.devices)
    if shared:
        rows = np.arange(torus.rows)
        devices = rows * torus.cols + rows % torus.cols
        plan[devices, 0] = experts
        total -= torus.rows
    mean = load.mean(axis=0)
    if replicate == "blocks":
        copies = copies_by_blocks(load, total)
        blocks = np.ceil(load / BLOCK)
        weight = np.ceil(blocks / copies).mean(axis=0) + 1e-6 * mean / copies
    elif replicate in ("load", "single"):
        copies = copies_by_load(mean, total) if replicate == "load" else one_more(mean, total)
        weight = mean / copies
    else:
        raise ValueError(f"replicate is load, blocks or single, got {replicate!r}")
    if shared:
        # Every token takes the shared expert, in its own row.
        own = tokens.mean() / torus.rows
        carried[devices] += np.ceil(own / BLOCK) if replicate == "blocks" else own
    ids = np.repeat(np.arange(experts), copies)
    if pack == "pairs":
        return deal_out(ids, weight[ids], plan, carried)
    if not spread:
        return heaviest_first(ids, weight[ids], plan, carried)
    rows = torus.row(np.arange(torus.devices))
    return _apart(heaviest_first(ids, weight[ids], plan, carried, rows), rows, weight)


def _apart(plan: np.ndarray, rows: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Exchange copies that share a row with their like for those of nearest weight that may go there and come here."""
    plan, flat_row = plan.copy(), np.repeat(rows, plan.shape[1])
    flat, weight = plan.reshape(-1), np.append(weight, np.inf)
    for slot in range(flat.size):
        expert = flat[slot]
        if expert < 0 or np.count_nonzero(flat[flat_row == flat_row[slot]] == expert) < 2:
            continue
        taken = flat_row[flat == expert]
        here = flat[flat_row == flat_row[slot]]
        others = [
            other
            for other in range(flat.size)
            if flat[other] >= 0
            and flat_row[other] not in taken
            and flat[other] not in here
            and flat[other] < len(weight) - 1
        ]
        if others:
            other = min(others, key=lambda other: abs(weight[flat[other]] - weight[expert]))
            flat[slot], flat[other] = flat[other], expert
    return plan


def share_on_distinct_rows(plan: np.ndarray, torus: Torus, experts: int) -> float:
    """The share of the experts with several copies that have them all on distinct rows; 1 where there is none."""
    copies = copies_of(plan, experts)
    several = np.flatnonzero(copies.count > 1)
    rows = torus.row(copies.device)
    apart = [len(set(own.tolist())) == len(own) for e in several if len(own := _own(rows, copies, e))]
    return float(np.mean(apart)) if apart else 1.0


def _own(values: np.ndarray, copies: Copies, expert: int) -> np.ndarray:
    return values[copies.first[expert] : copies.first[expert + 1]]


def eplb_hierarchical(weight: np.ndarray, replicas: int, groups: int, nodes: int, devices: int) -> np.ndarray:
    """DeepSeek's load balancer in hierarchical mode, sorting stably: groups to nodes, copies within them, devices.

    weight: [layer, expert]. Returns int64 [layer, device, slot]; every copy of a group's experts lies in one node.
    With one group for each, nodes = 1, this is the global mode. Raises ValueError for numbers that do not divide.
    Source: deepseek-ai/EPLB, rebalance_experts_hierarchical.
    """
    weight = np.asarray(weight).astype(np.float32)
    layers, experts = weight.shape
    for what, whole, part in (("experts", experts, groups), ("groups", groups, nodes), ("devices", devices, nodes)):
        if whole % part:
            raise ValueError(f"{whole} {what} cannot be divided by {part}")
    if replicas % devices or replicas < experts:
        raise ValueError(f"{replicas} copies do not fill {devices} devices with {experts} experts")
    size = experts // groups
    group_weight = weight.reshape(layers, groups, size).sum(axis=2)
    ids = np.tile(np.arange(groups), (layers, 1))
    node_groups = pack(ids, group_weight, nodes)
    inside = (node_groups[..., None] * size + np.arange(size)).reshape(layers * nodes, experts // nodes)
    own = np.take_along_axis(np.repeat(weight, nodes, axis=0), inside, axis=1)
    copies, share = replicate(own, (replicas - experts) // nodes)
    packed = pack(copies, share, devices // nodes)
    table = np.take_along_axis(inside, packed.reshape(layers * nodes, -1), axis=1)
    return table.reshape(layers, devices, replicas // devices)


def eplb_global(weight: np.ndarray, replicas: int, devices: int) -> np.ndarray:
    """DeepSeek's load balancer in global mode: int64 [layer, device, slot]. weight: [layer, expert]."""
    return ds_eplb(weight, devices, replicas - np.asarray(weight).shape[1])


def check_plan(
    plan: np.ndarray,
    experts: int,
    slots: int,
    copies: int | None = None,
    batches: Batches | None = None,
    routed: np.ndarray | None = None,
    torus: Torus | None = None,
    row_cap: int | None = None,
) -> None:
    """Raise ValueError, which names the rule, for a plan that breaks one.

    slots: per device; copies: at most so many filled slots; row_cap: at most so many choices of a batch may cross into
    a row, for which batches, routed and torus are needed.
    """
    if plan.shape[1] > slots:
        raise ValueError(f"slots: a device has {plan.shape[1]}; expected at most {slots}")
    try:
        listed = copies_of(plan, experts)
    except ValueError as error:
        raise ValueError(f"coverage: {error}") from None
    if copies is not None and len(listed.slot) > copies:
        raise ValueError(f"copies: the plan has {len(listed.slot)}; expected at most {copies}")
    if row_cap is not None:
        traffic = row_traffic(batches, listed, routed, torus)
        if traffic.max() > row_cap:
            batch, row = np.argwhere(traffic > row_cap)[0]
            raise ValueError(
                f"row traffic: {traffic[batch, row]} choices cross into row {row} in batch {batch}; expected at most "
                f"{row_cap}"
            )
