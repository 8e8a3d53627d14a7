"""Gates side by side on one layer: what each does to loads, tokens, locality and latency under one plan and router."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..gating.capacity import capacity
from ..gating.catalogue import Method, meets, plain
from ..gating.padding import block_padding, buffers
from ..gating.selection import auxiliary_loss
from ..serving.cost import BLOCK, device_sums, distinct, replica_tokens
from ..serving.gaps import routed_with_gaps
from ..serving.measures import measures
from ..traces.batches import Batches
from ..traces.routing_trace import RoutingTrace
from .methods import PLACEMENT_ONLY, REPLICATED, Planned, Setting

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Gated:
    """What gates choose from, in the order of the batches.

    batches: as recorded, routed experts alone; scores: [token, expert]; weights: [token, k], of the recorded choices.
    Either may be None.
    """

    batches: Batches
    scores: np.ndarray | None
    weights: np.ndarray | None

    def select(self, first: int, stop: int) -> Gated:
        """The batches first .. stop - 1."""
        tokens = slice(self.batches.starts[first], self.batches.starts[stop])
        beside = (None if values is None else values[tokens] for values in (self.scores, self.weights))
        return Gated(self.batches.select(first, stop), *beside)

    def parts(self) -> list[tuple[np.ndarray | None, np.ndarray]]:
        """Scores and recorded choices of each batch."""
        cuts = [slice(*ends) for ends in zip(self.batches.starts, self.batches.starts[1:], strict=False)]
        return [(None if self.scores is None else self.scores[cut], self.batches.choices[cut]) for cut in cuts]


def gated_of(trace: RoutingTrace, at: int, tokens: int, rows: int, seed: int | None, most: int) -> Gated:
    """At most `most` batches of `tokens` tokens of a layer, drawn as RoutingTrace.batches draws them."""
    order = trace.order(seed)[: most * tokens]
    beside = (None if values is None else values[at][order] for values in (trace.scores, trace.weights))
    return Gated(trace.batches(at, tokens, rows, seed, most), *beside)


def planned_for(batches: Batches, setting: Setting) -> Planned:
    """The nearline plan for the recorded choices, with replicas and the shared expert as far as the setting says."""
    methods = REPLICATED if setting.replicated else PLACEMENT_ONLY
    method = next(method for method in methods if method.row == "nearline")
    return method.plan(batches.with_shared() if setting.shared else batches, setting)


def gates(methods: Sequence[Method], gated: Gated, planned: Planned, setting: Setting, groups: int = 8) -> pd.DataFrame:
    """A line for each gate; those that need scores are left out where there are none.

    planned: for the recorded choices; groups: of neighbouring experts, counted per token. `max/mean` is an expert's
    largest load by the mean one, a mean over batches, and of the first and last one; `dropped` the share of choices
    that no expert serves; `rerouted` of those served by an expert outside the token's k best; `kept` the share of the
    k best experts' score that the served ones have; `without` of tokens without any expert; `rows by id` the rows of
    the grid that a token would touch if experts lay in the order of their ids; `padding` of multiplied rows that are
    empty; `compute` and `padded` the largest device's us by blocks, and in buffers of the capacity. `gate_ms`, which is
    measured, changes nothing but `meets`.
    """
    import pandas as pd

    parts = gated.parts()
    best = [plain(*part) for part in parts]
    possible = [method for method in methods if gated.scores is not None or not method.scores]
    return pd.DataFrame([_row(method, gated, parts, best, planned, setting, groups) for method in possible])


def _row(
    method: Method,
    gated: Gated,
    parts: list[tuple[np.ndarray | None, np.ndarray]],
    best: list[np.ndarray],
    planned: Planned,
    setting: Setting,
    groups: int,
) -> dict[str, object]:
    experts, gate, seconds, chosen = gated.batches.experts, method.start(), [], []
    for scores, seen in parts:
        # Of the processor, so that what else runs on the machine changes no class.
        begun = time.process_time()
        chosen.append(gate(scores, seen))
        seconds.append(time.process_time() - begun)
    load = np.array([np.bincount(choices[choices >= 0], minlength=experts) for choices in chosen])
    peak = load.max(axis=1) / load.mean(axis=1)
    # The loss is that of what a token asked for, before anything is dropped.
    asked = best if method.kind == "drop" else chosen
    losses = [auxiliary_loss(part[0], wanted) for part, wanted in zip(parts, asked, strict=True) if part[0] is not None]
    width = max(choices.shape[1] for choices in chosen)
    filled = [np.pad(choices, ((0, 0), (0, width - choices.shape[1])), constant_values=-1) for choices in chosen]
    choices, plainly = np.concatenate(filled), np.concatenate(best)
    served = choices >= 0
    other = served & ~(choices[:, :, None] == plainly[:, None, :]).any(axis=2)
    return {
        "gate": method.name,
        "run": method.run if method.causal else f"{method.run}, not causal",
        "meets": meets(np.array(seconds)),
        "gate_ms": 1000 * float(np.mean(seconds)),
        "max/mean": float(peak.mean()),
        "first": float(peak[0]),
        "last": float(peak[-1]),
        "dropped": max(0.0, 1 - served.sum() / plainly.size),
        "rerouted": other.sum() / plainly.size,
        "kept": _kept(choices, plainly, gated),
        "without": float((~served.any(axis=1)).mean()),
        "groups": float(distinct(np.where(served, choices * groups // experts, -1)).mean()),
        "rows by id": float(distinct(np.where(served, choices * setting.torus.rows // experts, -1)).mean()),
        "aux loss": float(np.mean(losses)) if losses else np.nan,
        **_latency(method, choices, load, gated.batches, planned, setting),
    }


def _kept(choices: np.ndarray, plainly: np.ndarray, gated: Gated) -> float:
    """The score of the served choices by that of the k best; NaN where it is not known."""
    served = choices >= 0
    if gated.scores is not None:
        values = np.take_along_axis(gated.scores, np.maximum(choices, 0), axis=1)
        most = np.take_along_axis(gated.scores, plainly, axis=1).sum(dtype=np.float64)
        return float(values[served].sum(dtype=np.float64) / most)
    # Without scores a gate only drops recorded choices, each of which keeps its place.
    return float(gated.weights[served].sum() / gated.weights.sum()) if gated.weights is not None else np.nan


def _latency(
    method: Method, choices: np.ndarray, load: np.ndarray, batches: Batches, planned: Planned, setting: Setting
) -> dict[str, float]:
    replicas, experts = planned.replicas, batches.experts
    if setting.shared:
        choices = np.hstack([choices, np.full((len(choices), 1), experts)])
        batches = batches.with_shared()
    routed = routed_with_gaps(planned.router, batches, choices, replicas)
    found = measures(batches, replicas, routed, setting.torus, setting.preset)
    tokens = replica_tokens(batches, replicas, routed)
    empty = block_padding(tokens, BLOCK).sum()
    padded = np.nan
    if method.factor is not None or method.kind == "top-k":
        # The smallest buffers that drop nothing, where no capacity says how large they are.
        room = load.max(axis=1)
        if method.factor is not None and np.isfinite(method.factor):
            k = batches.choices.shape[1] - setting.shared
            room = np.array([capacity(method.factor, size, k, experts) for size in np.diff(batches.starts)])
        rows = buffers(tokens, room, replicas.count[replicas.expert])
        rows = np.where(replicas.expert == experts, tokens, rows)
        padded = float(device_sums(setting.preset.compute(rows), replicas).max(axis=1).mean())
    return {
        "rows": found["rows_per_token"],
        "padding": empty / (tokens.sum() + empty),
        **{name: found[name] for name in ("mean", "p99", "compute")},
        "padded": padded,
    }
