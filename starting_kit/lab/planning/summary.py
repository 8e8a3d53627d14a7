"""What a deployment table holds and how even it is, without a router: what `plan` prints of a layer."""

from __future__ import annotations

import numpy as np

from ..serving.measures import even_loads, even_par
from ..serving.torus import Torus


def least_largest(load: np.ndarray, slots: int) -> float:
    """The least that the heaviest replica can carry when so many slots share the load evenly, expert by expert.

    load: [expert]; slots: as many as experts or more. The smallest of all load / replicas that the slots suffice for:
    with a weight w for the heaviest, an expert needs ceil(load / w) of them. Found by bisection.
    """
    load = np.asarray(load, np.float64)
    weights = np.unique(load[:, None] / np.arange(1, slots - len(load) + 2))
    weights = weights[weights > 0]
    first, last = 0, len(weights) - 1
    while first < last:
        middle = (first + last) // 2
        # Quotients that are whole may come out a rounding above.
        needed = np.maximum(1, np.ceil(load / weights[middle] * (1 - 1e-12))).sum()
        first, last = (first, middle) if needed <= slots else (middle + 1, last)
    return float(weights[first]) if len(weights) else 0.0


def figures(
    table: np.ndarray, load: np.ndarray, torus: Torus, experts: int, ordinary: bool = False
) -> dict[str, float]:
    """Figures of one layer's table.

    table: [device, slot], -1 empty, the id `experts` the shared expert; load: tokens [batch, expert], with the shared
    expert as the last one where there is one; experts: routed ones; ordinary: whether the shared expert has as many
    replicas as its load earns, and counts as one of the others. `replica` and `device` are the largest loads in the
    mean batch, replicas serving even parts, `least_replica` and `least_device` the least possible ones for as many
    slots and devices; `par` of the mean batch, `batch_par` the mean over batches; `apart` the share of the routed
    experts with several replicas, as many as rows at most, whose replicas lie in distinct rows, nan without such;
    `shared_rows` and `shared_column`: rows with a replica of the shared expert, and the most of a column.
    """
    replicas = np.bincount(table[table >= 0], minlength=experts + 1)
    routed, mean = replicas[:experts], load.mean(axis=0)
    counted = slice(0, load.shape[1] if ordinary else experts)
    rows = torus.row(np.nonzero(np.ones_like(table))[0]).reshape(table.shape)
    held = np.zeros((torus.rows, experts + 1), bool)
    held[rows[table >= 0], table[table >= 0]] = True
    several = (routed > 1) & (routed <= torus.rows)
    columns = np.bincount(torus.col(np.nonzero(table == experts)[0]), minlength=torus.cols)
    return {
        "more": float((routed - 1).sum()),
        "shared": float(replicas[experts]),
        "empty": float((table < 0).sum()),
        "most": float(routed.max()),
        "replica": float((mean[counted] / replicas[: load.shape[1]][counted]).max()),
        "least_replica": least_largest(mean[counted], int(replicas[counted].sum())),
        "device": float(even_loads(table, mean).max()),
        "least_device": float(mean.sum() / len(table)),
        "par": float(even_par(table, mean)),
        "batch_par": float(even_par(table, load).mean()),
        "apart": float((held[:, :experts].sum(axis=0) == routed)[several].mean()) if several.any() else np.nan,
        "shared_rows": float(held[:, experts].sum()),
        "shared_column": float(columns.max()),
    }


def sentences(layers: list[dict[str, float]], experts: int, torus: Torus) -> list[str]:
    """The figures of several layers in words: means over layers."""
    mean = {name: float(np.mean([layer[name] for layer in layers])) for name in layers[0]}
    apart = [layer["apart"] for layer in layers if not np.isnan(layer["apart"])]
    most = max(layer["most"] for layer in layers)
    told = [
        f"slots of a layer: {experts} routed experts, {mean['more']:g} more replicas of them, {mean['shared']:g} of "
        f"the shared expert, {mean['empty']:g} empty; at most {most:g} replicas of an expert",
        f"heaviest replica: {mean['replica']:.2f} tokens of the mean batch; least possible with these slots: "
        f"{mean['least_replica']:.2f}",
        f"heaviest device: {mean['device']:.2f} tokens of the mean batch; least possible, the mean: "
        f"{mean['least_device']:.2f}; PAR {mean['par']:.4f}, in the worst layer "
        f"{max(layer['par'] for layer in layers):.4f}, of single batches {mean['batch_par']:.4f}",
    ]
    if apart:
        share = f"{100 * np.mean(apart):.1f} %"
        told.append(f"replicated experts whose replicas lie in distinct rows, where rows suffice: {share}")
    if mean["shared"]:
        rows = f"in {mean['shared_rows']:g} of {torus.rows} rows"
        told.append(f"shared expert: {rows}, at most {mean['shared_column']:g} in a column")
    return told
