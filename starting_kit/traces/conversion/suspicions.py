"""Notes on suspicious counts of a recording: each once, with a figure and an advice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..trace_file import SMALLEST_TRACE
from .iterations import restarts, shortened
from .layer_totals import uneven_layers
from .recording import Recording, counted, ranges

# Zeros are said where their ones add a tenth of the load. Experts are called idle where so many tokens would be theirs.
TENTH, EXPECTED = 10, 10
# So many layers in a row and no experts between others are no model's rhythm.
FEW = 4
# Iterations looked at in one step, so that little is held beside the trace.
BLOCK = 64


def suspicions(recording: Recording, summed: int = 1) -> list[str]:
    """The notes on a recording's counts; what the reader noted already is left out.

    summed: recorded iterations in one of them. Every advice, when followed, gives a right trace.
    """
    hotness = recording.hotness
    numbers = np.arange(hotness.shape[1]) if recording.layers is None else np.array(recording.layers)
    again = restarts(hotness)
    if again is not None and not again.any():
        # Of counters nothing else can be told: what is rare in tokens is in no sum of them.
        return [
            f"no count falls in any of {counted(len(hotness), 'iteration')}, as in running totals: if these are "
            "running totals, --differences takes the counts between two rows",
            *_holes(recording.layers),
        ]
    notes = []
    if again is not None:
        notes.append(
            f"counts fall in only {counted(int(again.sum()), 'iteration')} of {len(hotness)}, as in running totals "
            "that began again: if these are running totals, --differences takes the counts between two rows"
        )
    loads = hotness.sum(axis=0, dtype=np.int64)
    notes += [*_idle_experts(loads, numbers), *_idle_iterations(hotness), *_partial_iterations(hotness, loads)]
    if not any("--divide" in note for note in recording.notes):
        notes += _multiples(hotness)
    shared = list(_shared(hotness, loads, numbers))
    # A shared expert explains other totals, stages may have begun apart.
    if not shared and not any("stages of a pipeline" in note for note in recording.notes):
        notes += uneven_layers(hotness, numbers)
    return [*notes, *_holes(recording.layers), *shared, *_zeros(hotness, loads, summed)]


def _idle_experts(loads: np.ndarray, numbers: np.ndarray) -> Iterator[str]:
    """loads: int64 [layer, expert]."""
    experts = loads.shape[1]
    routed = loads.any(axis=1)
    nowhere = ~loads.any(axis=0)
    if nowhere.any() and loads.sum() >= EXPECTED * experts:
        yield (
            f"experts {shortened(ranges(np.flatnonzero(nowhere).tolist()))} of 0 .. {experts - 1} never have a token in"
            f" any layer ({int(nowhere.sum())} of {experts}), as where only one rank's counts were saved, or --experts"
            " was given and is too large: convert the counts of all ranks"
        )
    idle = (loads == 0) & ~nowhere
    many = routed & (2 * idle.sum(axis=1) >= experts) & (loads.sum(axis=1) >= EXPECTED * experts)
    if many.any():
        where = shortened(ranges(numbers[many].tolist()))
        most = int(idle[many].sum(axis=1).max())
        yield (
            f"in layers {where} at least half of the experts never have a token, up to {most} of {experts}, as where"
            " only one rank's counts were saved: convert the counts of all ranks"
        )


def _idle_iterations(hotness: np.ndarray) -> Iterator[str]:
    idle = int((~hotness.any(axis=(1, 2))).sum())
    if idle:
        yield (
            f"{counted(idle, 'iteration')} without a token kept: a run takes every expert there as one token;"
            " --drop-empty leaves them out"
        )


def _partial_iterations(hotness: np.ndarray, loads: np.ndarray) -> Iterator[str]:
    """A token goes through every layer, so that no layer is left out of a pass."""
    routed = hotness[:, loads.any(axis=1)].any(axis=2)
    partial = np.flatnonzero(routed.any(axis=1) & ~routed.all(axis=1)).tolist()
    if partial:
        yield (
            f"{counted(len(partial), 'iteration')} with tokens in only some layers, the first {partial[0]} (from 0), "
            "as where a pipeline stage's file of the same passes is missing: convert the files of all stages"
        )


def _holes(layers: Sequence[int] | None) -> Iterator[str]:
    """Layers that lie between others: where not every second or third one routes, a stage's may be missing."""
    apart = np.diff(np.array(layers or [0]))
    wide = apart[apart > 1]
    if not len(wide) or (apart > 1).all() or (len(wide) > 1 and len(set(wide.tolist())) == 1 and wide[0] < FEW):
        return
    missing = sorted(set(range(layers[0], layers[-1])) - set(layers))  # type: ignore[index]
    which = "layer {}, which lies" if len(missing) == 1 else "layers {}, which lie"
    yield (
        f"no counts of {which.format(shortened(ranges(missing)))} between others: as where a pipeline stage's file is"
        " missing, unless the model has no experts there"
    )


def _multiples(hotness: np.ndarray) -> Iterator[str]:
    """Where every rank counted every token, all counts are multiples of the number of ranks."""
    divisor, seen = 0, set()
    for first in range(0, len(hotness), BLOCK):
        values = np.unique(hotness[first : first + BLOCK])
        seen.update(values[values > 0][:3].tolist())
        divisor = int(np.gcd.reduce(values, initial=divisor))
        if divisor == 1:
            return
    if divisor > 1 and len(seen) > 2:
        yield (
            f"all counts are multiples of {divisor}, as where {divisor} ranks counted the same tokens: --divide "
            f"{divisor} gives tokens"
        )


def _shared(hotness: np.ndarray, loads: np.ndarray, numbers: np.ndarray) -> Iterator[str]:
    """Experts that every token of a layer has: the most of the layer, and always the same whole part of it."""
    found: dict[int, list[int]] = {}
    for layer, load in enumerate(loads):
        counts = hotness[:, layer]
        totals = counts.sum(axis=1, dtype=np.int64)
        some = totals > 0
        # Two experts or two choices have no rest to tell from; what never changes tells nothing.
        if some.sum() < SMALLEST_TRACE or len(load) < 3 or (counts[some] == counts[some][0]).all():
            continue
        for expert in np.flatnonzero(load == load.max()):
            parts, rest = np.divmod(totals[some], np.maximum(counts[some, expert], 1))
            whole = (rest == 0) & (parts == parts[0]) & (counts[some, expert] > 0)
            if whole.all() and parts[0] < np.count_nonzero(load):
                found.setdefault(int(expert), []).append(int(numbers[layer]))
    for expert, places in found.items():
        yield (
            f"expert {expert} has every token of layers {shortened(ranges(places))}, as a shared expert that is fused"
            " with the routed ones: record again with the fusion of shared experts off, or convert the counts without"
            " it"
        )


def _zeros(hotness: np.ndarray, loads: np.ndarray, summed: int) -> Iterator[str]:
    """The ones that a run puts in the place of zeros, where they are a tenth of the tokens or more."""
    zeros, tokens = hotness.size - int(np.count_nonzero(hotness)), int(loads.sum())
    if TENTH * zeros < tokens:
        return
    yield (
        f"{zeros / hotness.size:.0%} of the counts are zero; a run takes each as one token, which adds"
        f" {zeros / tokens:.0%} to the load: the PAR (peak-to-average ratio) of such a trace is not the recording's,"
        f" {_sum_advice(hotness, int(loads.max()), summed)}"
    )


def _sum_advice(hotness: np.ndarray, largest: int, summed: int) -> str:
    """largest: sum of an expert's counts over all iterations."""
    several, sums = 1, hotness if largest <= np.iinfo(np.int32).max else hotness.astype(np.int64)
    while len(sums) >= 2 * SMALLEST_TRACE:
        even = len(sums) // 2 * 2
        sums, several = sums[0:even:2] + sums[1:even:2], several * 2
        zeros, left = sums.size - int(np.count_nonzero(sums)), int(sums.sum())
        if TENTH * zeros < left:
            option = f"--sum {several * summed}"
            return (
                f"record more tokens at a time, or add up iterations: with {option} they add {zeros / left:.0%} in"
                f" {len(sums)} iterations"
            )
    return "record more tokens at a time"
