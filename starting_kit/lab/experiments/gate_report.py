"""Gates in the matrix, in a recommendation and in a command of their own: a heading, a frame, and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from placement.errors import Problem

from ..gating.assignment import base
from ..gating.catalogue import KINDS, NEARLINE, ONLINE, Method, methods, plain
from ..serving.routers import name_of
from ..traces.routing_trace import RoutingTrace
from .gating import Gated, gated_of, gates, planned_for
from .methods import Planned, Setting
from .recommendation import Row
from .split import split

if TYPE_CHECKING:
    import pandas as pd

Part = tuple[str, "pd.DataFrame | None", list[str]]
# Tokens that BASE takes some seconds for.
MOST_TOKENS = 4096
CLASSES = {"online": f"{1000 * ONLINE:g} ms a batch", "nearline": f"{NEARLINE:g} s a layer", "offline": ""}
NOTES = [
    f"run: the class that a gate is meant for: online (below {CLASSES['online']}) or offline (any time), not causal "
    "where it compares all tokens of a batch; gate_ms: of a processor, per batch; meets: the class that these are in, "
    f"nearline where all batches together take less than {CLASSES['nearline']}.",
    "max/mean: largest load of an expert by the mean one, over batches, in the first and the last; dropped, rerouted "
    "(to an expert outside a token's k best): shares of all choices; kept: of the k best scores; without: tokens "
    "without an expert; groups, rows: per token; rows by id: if experts lay in the order of their ids; aux loss: the "
    "auxiliary loss of training, 1 where loads are even, more where the experts with the scores have the choices too.",
    "padding: share of multiplied rows that are empty; mean, p99, compute: us by blocks (dropless); padded: compute "
    "with buffers of the capacity, for top-k and capacity inf with the smallest that drop nothing.",
]


def default_groups(experts: int, k: int, groups: int | None = None) -> tuple[int, list[int]]:
    """Groups of neighbouring experts, 8 or fewer of one size, and how many limited routing keeps: a half, a quarter.

    groups: where their number is given; none are kept of groups of one expert, or too few for k choices.
    """
    groups = groups or next(number for number in (8, 4, 2, 1) if experts % number == 0)
    size = experts // groups
    return groups, [kept for kept in (groups // 2, groups // 4) if size > 1 and kept * size >= k]


def matrix_gates(
    name: str, trace: RoutingTrace, setting: Setting, tokens: int, seed: int | None, held_out: bool
) -> Part:
    """The gates on the first layer of a trace, under the nearline plan of its recorded choices.

    seed: draws the batches, as for RoutingTrace.batches; held_out: planned from the first half of the batches, measured
    on the second. MOST_TOKENS are measured at most, and planned from.
    """
    heading = f"Gates, layer {trace.layers[0]} of {name}, " + ("held out" if held_out else "in sample")
    if trace.scores is None:
        return heading, None, [str(without_scores(name, trace))]
    slots = setting.slots * setting.torus.devices
    shared = slots >= trace.experts + setting.torus.rows
    needed = -(-trace.experts // setting.torus.devices)
    setting = replace(setting, shared=shared, replicated=shared, slots=max(setting.slots, needed))
    most = max(2 if held_out else 1, (1 + held_out) * MOST_TOKENS // tokens)
    gated = gated_of(trace, 0, tokens, setting.torus.rows, seed, most)
    half = gated.batches.count // 2
    known, unknown = (gated.select(0, half), gated.select(half, gated.batches.count)) if held_out else (gated, gated)
    found, groups, told = usual_gates(trace)
    frame, more = report(name, unknown, planned_for(known.batches, setting), setting, found, groups)
    return heading, frame, told + more


def recommended_gates(
    name: str, trace: RoutingTrace, rows: Sequence[Row], setting: Setting, tokens: int, share: float, seed: int | None
) -> Part:
    """The gates on the first layer of the held-out requests, under the nearline row's plan; share, seed: as for split.

    setting: that of the rows; MOST_TOKENS at most.
    """
    heading = f"Gates, layer {trace.layers[0]} of {name}, held out"
    if trace.scores is None:
        return heading, None, [str(without_scores(name, trace))]
    row = [row for row in rows if row.method.row == "nearline"][-1]
    late = split(trace.select(trace.layers[:1]), share, seed)[1]
    most = max(1, min(MOST_TOKENS, late.tokens) // tokens)
    gated = gated_of(late, 0, tokens, setting.torus.rows, setting.seed, most)
    found, groups, told = usual_gates(trace)
    frame, more = report(name, gated, row.planned[0], replace(setting, replicated=row.replicated), found, groups)
    return heading, frame, told + more


def usual_gates(trace: RoutingTrace) -> tuple[list[Method], int, list[str]]:
    """All gates, the number of groups, and a sentence where scipy is missing, without which there is no BASE."""
    groups, kept = default_groups(trace.experts, trace.choices.shape[2])
    found, told = possible(methods(trace.experts, groups=groups, kept=kept))
    return found, groups, told


def possible(found: Sequence[Method]) -> tuple[list[Method], list[str]]:
    """The gates that can run here, and a sentence where that is not all of them."""
    try:
        base(np.ones((1, 1)), 1)
    except Problem as problem:
        return [method for method in found if method.kind != "base"], [f"BASE is left out: {problem}"]
    return list(found), []


def report(
    name: str, gated: Gated, planned: Planned, setting: Setting, found: Sequence[Method], groups: int
) -> tuple[pd.DataFrame, list[str]]:
    """The frame of these gates, as `gates` makes it, and what it does not say."""
    frame = gates(found, gated, planned, setting, groups)
    count, router = gated.batches.count, name_of(planned.router)
    told = [f"{count} batches; plan: nearline, for the recorded choices of {name}, router {router}."]
    if gated.scores is not None:
        told += _recorded(gated)
    methods_of = {method.name: method for method in found}
    for line in frame.to_dict("records"):
        method, measured = methods_of[line["gate"]], line["meets"]
        if method.kind == "bias":
            ends = f"{line['first']:.2f} in the first batch, {line['last']:.2f} in the last of {count}"
            told.append(f"{method.name}: expert max/mean {ends}.")
        if method.kind == "expert-choice":
            told.append(f"{method.name}, experts of a token: {_histogram(method, gated)}.")
        meant, found_in = ([*CLASSES].index(name) for name in (method.run, measured))
        if found_in > meant:
            missed = f"{method.name} misses its class, {method.run} ({CLASSES[method.run]})"
            told.append(f"{missed}: {line['gate_ms']:.1f} ms a batch, so it is {measured}.")
        if found_in < meant:
            quick = f"{method.name}, meant for {method.run}, is {measured} here ({CLASSES[measured]})"
            told.append(f"{quick}: {count} batches of {line['gate_ms']:.1f} ms.")
    return frame, [*told, *NOTES]


def without_scores(name: str, trace: RoutingTrace) -> Problem:
    """What is wrong with a trace that has no scores of all experts."""
    got = "weights of the chosen experts alone" if trace.weights is not None else "choices alone"
    kinds = [kind for kind in KINDS if kind not in ("top-k", "drop")]
    expected = f"scores of all experts, for {', '.join(kinds[:-1])} and {kinds[-1]}"
    next_step = (
        "`generate --scores`, or import records or batches with `scores`; `gating --method top-k drop` needs none"
    )
    return Problem("the trace has no scores", got, expected, next_step, name)


def printed_gates(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as texts: shares in per cent, nothing where nothing is known."""

    def text(value: float, form: str) -> str:
        return "" if np.isnan(value) else format(value, form)

    forms = dict.fromkeys(("dropped", "rerouted", "kept", "without", "padding"), ".1%")
    forms |= dict.fromkeys(("mean", "p99", "compute", "padded"), ".1f")
    return frame.assign(
        **{name: [text(value, forms.get(name, ".2f")) for value in frame[name]] for name in frame.columns[3:]}
    )


def _histogram(method: Method, gated: Gated) -> str:
    """The share of tokens with so many experts, in bands that double."""
    gate = method.start()
    count = np.concatenate([(gate(*part) >= 0).sum(axis=1) for part in gated.parts()])
    ends = [0, *(2**power for power in range(int(count.max()).bit_length() + 1))]
    bands = [str(end) if end < 3 else f"{end // 2 + 1}-{end}" for end in ends]
    share = np.bincount(np.searchsorted(ends, count), minlength=len(ends)) / len(count)
    last = np.flatnonzero(share)[-1]
    return ", ".join(f"{band}: {part:.1%}" for band, part in zip(bands[: last + 1], share, strict=False))


def _recorded(gated: Gated) -> list[str]:
    """A sentence where a model's own gate chose others than the k best scores."""
    outside = [
        1 - (seen[:, :, None] == plain(scores, seen)[:, None, :]).any(axis=2).mean() for scores, seen in gated.parts()
    ]
    share = float(np.mean(outside))
    return [f"{share:.1%} of the recorded choices are not among the k best scores."] if share else []
