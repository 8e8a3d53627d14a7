"""Between routing and hotness [iteration, layer, expert], which the competition's traces hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from placement.trace import check_array, check_values
from traces.conversion.destination import refuse_other, write_recording
from traces.conversion.inputs import one_file
from traces.conversion.plain_array import SUFFIXES, read_counts
from traces.folder import parts_of

from .batches import Batches
from .routing_trace import RoutingTrace

ORIGIN = "counted from routing:"


def read_hotness(path: Path) -> np.ndarray:
    """Hotness as `convert` reads it, int32 [iteration, layer, expert]. Raises OrganizerError."""
    return read_counts(one_file([path], SUFFIXES))[0]


def hotness_of(trace: RoutingTrace, tokens_per_batch: int, seed: int | None = None) -> np.ndarray:
    """Count a trace's tokens, every batch an iteration: int32 [iteration, layer, expert].

    tokens_per_batch, seed: how it is cut, see RoutingTrace.batches; the last iteration may have fewer tokens.
    """
    # Origins do not count, and may be those of any grid.
    bare = RoutingTrace(trace.experts, trace.layers, trace.choices, trace.requests)
    result = None
    for layer in range(len(trace.layers)):
        load = bare.batches(layer, tokens_per_batch, 1, seed).load
        if result is None:
            result = np.empty((len(load), len(trace.layers), trace.experts), np.int32)
        result[:, layer] = load
    return result


def check_dealt(hotness: np.ndarray, k: int) -> None:
    """Raise ValueError for hotness that no routing of k experts per token counts to.

    hotness: integers [iteration, layer, expert]. No total may be 0 or no multiple of k, no count above the number of
    tokens, which is total / k.
    """
    if hotness.ndim != 3 or 0 in hotness.shape or hotness.dtype.kind not in "iu":
        raise ValueError(
            f"the hotness has the shape {list(hotness.shape)} of {hotness.dtype}; expected integers [iteration, layer, "
            "expert]"
        )
    if hotness.min() < 0 or k < 1:
        raise ValueError(f"the least count is {hotness.min()} and k is {k}; expected counts from 0 and k from 1")
    totals = hotness.sum(axis=2, dtype=np.int64)
    _refuse((totals % k != 0) | (totals == 0), f"expected a multiple of k = {k} above 0", "the total is", totals)
    tokens, most = totals // k, hotness.max(axis=2)
    _refuse(most > tokens, "expected at most one choice per token", "more choices of an expert than tokens:", most)


def dealt_layer(hotness: np.ndarray, layer: int, k: int, seed: int, rows: int = 16) -> Batches:
    """Routing of one layer that counts to a given hotness, every iteration a batch, of counts that check_dealt takes.

    The experts of a batch are dealt round its tokens one expert after another, in random order, so that no token gets
    one twice, and the tokens are shuffled. Which experts meet in a token is an artefact of dealing and says nothing.
    origins: uniform over `rows`.
    """
    rng = np.random.default_rng([seed, layer])
    sizes = hotness[:, layer].sum(axis=1, dtype=np.int64) // k
    dealt = [_deal(counts, int(size), k, rng) for counts, size in zip(hotness[:, layer], sizes, strict=True)]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    origins = rng.integers(rows, size=starts[-1], dtype=np.int32)
    return Batches(hotness.shape[2], np.concatenate(dealt), origins, starts)


def write_hotness(
    folder: Path,
    name: str,
    hotness: np.ndarray,
    source: str = "a trace of the planner lab",
    licence: str = "not stated",
) -> Path:
    """Write `<folder>/<model>/<dataset>.npy` and its entry in the folder's manifest.yaml, as the kit's --traces reads.

    name: <model>/<dataset>; hotness: int32 [iteration, layer, expert]; source: which routing was counted, one line for
    the entry's origin; licence: of that routing. An entry of this name that was counted here is replaced, another is
    not: OrganizerError, as for a name of another form and a malformed manifest. Raises OSError.
    """
    parts_of(name, "hotness")
    check_array(hotness, name)
    check_values(hotness, 0, name)
    refuse_other(folder, name, "counted here", lambda entry: str(entry.get("origin")).startswith(ORIGIN))
    return write_recording(folder, name, hotness, f"{ORIGIN} {' '.join(source.split())}; not a recording", licence)


def _deal(counts: np.ndarray, tokens: int, k: int, rng: np.random.Generator) -> np.ndarray:
    """Experts for the tokens of one batch: int32 [token, k]."""
    experts = rng.permutation(len(counts))
    # The p-th choice goes to token p mod T; an expert's choices follow each other and are T at most.
    dealt = np.repeat(experts.astype(np.int32), counts[experts]).reshape(k, tokens).T
    return rng.permutation(dealt)


def _refuse(wrong: np.ndarray, expected: str, what: str, values: np.ndarray) -> None:
    if wrong.any():
        iteration, layer = np.argwhere(wrong)[0]
        raise ValueError(f"iteration {iteration}, layer {layer}: {what} {values[iteration, layer]}; {expected}")
