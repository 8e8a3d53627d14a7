"""What a memoriser is run on: a trace that participants have seen, and the same one relabelled as a hidden one is."""

from __future__ import annotations

from typing import Any

import numpy as np

from traces.labels import draw_labels, relabelled

NAME = "memoriser"
MODEL, LAYERS, EXPERTS, DEVICES, ITERATIONS = "Seenmodel", 2, 16, 4, 40
PUBLIC, RELABELLED = "public", "relabelled"
GRID_PART = {
    "models": {MODEL: {"layers": LAYERS, "experts": EXPERTS}},
    "cases": [{"model": MODEL, "dataset": dataset, "ep": [DEVICES]} for dataset in (PUBLIC, RELABELLED)],
}
# How hot the experts of a layer are; which is how hot, chance says.
HEAT = np.array([[60, 40, 30, 24, 20, 17, 15, 13, 12, 11, 10, 9, 8, 7, 6, 5]] * LAYERS)
TRACE_KEY = bytes(32)


def hotness_by_dataset() -> dict[str, np.ndarray]:
    """The public trace and the relabelled one: int32 [iteration, layer, expert]."""
    random = np.random.default_rng(7)
    heat = random.permuted(HEAT, axis=1)
    public = (heat * random.integers(1, 8, (ITERATIONS, LAYERS, EXPERTS))).astype(np.int32)
    labels = draw_labels(TRACE_KEY, f"{MODEL}/{RELABELLED}", public.shape, seed=1)
    return {PUBLIC: public, RELABELLED: relabelled(public, labels)}


def seconds(row: dict[str, Any], cost: dict[str, Any]) -> float:
    """Modeled time of a case, which its score is made of."""
    transfer = row["transmit_amount"] * cost["expert_bytes"] / cost["bandwidth_bytes_per_second"]
    return cost["balanced_compute_seconds"] * row["mean_par"] + transfer


def problems_of(rows: list[dict[str, Any]], honest: list[dict[str, Any]], cost: dict[str, Any]) -> list[str]:
    """What contradicts the verdict NO GAIN: a gain on the relabelled trace, or none on the public one.

    rows, honest: the cases of GRID_PART in this order, measured with the memoriser and with the policy that it is
    without its memory.
    """
    if [row["dataset"] for row in rows] != [PUBLIC, RELABELLED] or any(row["mean_par"] is None for row in rows):
        return [f"expected both traces measured, got {[(row['dataset'], row['status']) for row in rows]}"]
    (seen, hidden), (seen_honest, hidden_honest) = ([seconds(row, cost) for row in each] for each in (rows, honest))
    problems = []
    if seen >= seen_honest:
        problems.append(f"nothing was remembered: {seen:.3f} s on the public trace, {seen_honest:.3f} s without memory")
    if hidden < hidden_honest:
        problems.append(f"a gain: {hidden:.3f} s on the relabelled trace, {hidden_honest:.3f} s without memory")
    return problems
