"""One layer's batches in an .npz of `topk_experts` [batch, token, k] and `origin_rows` [batch, token].

Beside them `scores` [batch, token, expert] and `topk_weights` [batch, token, k] may stand.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from placement.errors import Problem
from traces.conversion.choices import wrong_choice

from .batches import Batches, stacked
from .routing_trace import RoutingTrace
from .trace_file import read_arrays


def read_stacked(path: Path, experts: int = 256, rows: int = 16) -> Batches:
    """Read one layer's batches. Raises Problem for other arrays, experts and rows."""
    arrays = read_arrays(path, ("topk_experts", "origin_rows"), "an .npz of plain arrays, one layer's batches")
    choices, origins = arrays["topk_experts"], arrays["origin_rows"]
    if choices.ndim != 3 or not choices.size or origins.shape != choices.shape[:2]:
        got = f"{list(choices.shape)} and {list(origins.shape)}"
        raise _wrong("topk_experts and origin_rows do not fit", got, "[batch, token, k] and [batch, token]", path)
    if origins.dtype.kind not in "iu" or origins.min() < 0 or origins.max() >= rows:
        got = f"{origins.dtype}, {origins.min()} .. {origins.max()}"
        raise _wrong("origin_rows is out of range", got, f"integers in 0 .. {rows - 1}", path)
    if wrong := wrong_choice(choices.reshape(-1, choices.shape[2]), experts):
        raise _wrong("topk_experts has no right choices", *wrong, path)
    return stacked(choices, origins, experts)


def read_stacked_trace(path: Path, experts: int = 256, rows: int = 16) -> RoutingTrace:
    """The same as a trace, each batch a request, with the scores and weights that the file has. Raises Problem."""
    batches, expected = read_stacked(path, experts, rows), "an .npz of plain arrays, one layer's batches"
    values = read_arrays(path, (), expected, ("scores", "topk_weights"))
    size = np.diff(batches.starts)
    for name, columns in (("scores", experts), ("topk_weights", batches.choices.shape[1])):
        form = [batches.count, int(size[0]), columns]
        if name in values and (values[name].dtype.kind != "f" or list(values[name].shape) != form):
            got = f"{values[name].dtype} {list(values[name].shape)}"
            raise _wrong(f"{name} has the wrong form", got, f"floats {form}", path)
    kept = {name: array.reshape(1, len(batches.choices), -1) for name, array in values.items()}
    try:
        beside = kept.get("scores"), kept.get("topk_weights")
        return RoutingTrace(experts, (0,), batches.choices[None], batches.batch_of_token, batches.origins, *beside)
    except ValueError as error:
        raise _wrong("the trace is not right", str(error), "scores and weights of the tokens", path) from None


def _wrong(what: str, got: str, expected: str, path: Path) -> Problem:
    return Problem(what, got, expected, "export the file again", str(path))
