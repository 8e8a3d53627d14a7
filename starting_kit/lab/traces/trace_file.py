"""A routing trace in files: a folder with a file for each layer, mapped; one file of earlier versions is read, too."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from placement.errors import Problem
from traces.conversion.routing_folder import (
    AGAIN,
    SCORES,
    WEIGHTS,
    RoutingHead,
    RoutingWriter,
    has_values,
    read_head,
    read_layer,
    read_tokens,
    read_values,
)

from .layers import LazyLayers
from .routing_trace import RoutingTrace

# Of the one file.
TRACE_KEYS = {"experts", "layers", "choices", "requests"}


def save_trace(path: Path, trace: RoutingTrace, labels: Mapping[int, str] | None = None) -> None:
    """Write a routing trace, a layer at a time; labels: of its requests. Raises Problem, OSError."""
    layers, tokens, k = trace.choices.shape
    beside = {SCORES: trace.scores, WEIGHTS: trace.weights}
    beside = {kind: values for kind, values in beside.items() if values is not None}
    with RoutingWriter(path, RoutingHead(trace.experts, trace.layers, tokens, k), tuple(beside)) as writer:
        for layer in range(layers):
            writer.add(layer, trace.choices[layer])
            for kind, values in beside.items():
                writer.add(layer, values[layer], kind)
        writer.finish(trace.requests, trace.origins, labels)


def load_trace(path: Path) -> RoutingTrace:
    """Open what save_trace wrote; a layer's choices are read and checked when they are asked for. Raises Problem."""
    if path.is_file():
        return _of_one_file(path)
    head = read_head(path)
    requests, origins = read_tokens(path, head)
    shape = (len(head.layers), head.tokens, head.top_k)
    layers = LazyLayers(shape, lambda position: read_layer(path, head, position))

    def beside(kind: str) -> LazyLayers | None:
        if not has_values(path, head, kind):
            return None
        shape = (len(head.layers), *head.form_of(kind)[1])
        return LazyLayers(shape, lambda position: read_values(path, head, position, kind), np.float32)

    return RoutingTrace(head.experts, head.layers, layers, requests, origins, beside(SCORES), beside(WEIGHTS))


def is_trace_file(path: Path) -> bool:
    """Whether a file is the one of earlier versions: an .npz with its arrays, or what cannot be read."""
    if path.suffix != ".npz":
        return False
    try:
        with np.load(path, allow_pickle=False) as archive:
            return set(archive.files) >= TRACE_KEYS
    # Its reader tells what is wrong.
    except Exception:
        return True


def _of_one_file(path: Path) -> RoutingTrace:
    expected = "a trace that `python -m lab import` or `generate` wrote"
    arrays = read_arrays(path, TRACE_KEYS, expected, optional=("origins",))
    for key, rank in (("experts", 0), ("layers", 1), ("requests", 1), ("choices", 3), ("origins", 1)):
        if key in arrays and (arrays[key].ndim != rank or arrays[key].dtype.kind not in "iu"):
            got = f"{arrays[key].dtype} {list(arrays[key].shape)}"
            expected = f"integers, {rank}-dimensional" if rank else "one integer"
            raise Problem(f"{key} has the wrong form", got, expected, AGAIN, str(path))
    try:
        named = (arrays["choices"], arrays["requests"], arrays.get("origins"))
        return RoutingTrace(int(arrays["experts"]), tuple(arrays["layers"].tolist()), *named)
    except ValueError as error:
        raise Problem(
            "the trace is not right", str(error), "choices of experts that fit together", AGAIN, str(path)
        ) from None


def read_arrays(
    path: Path, keys: Collection[str], expected: str, optional: Collection[str] = ()
) -> dict[str, np.ndarray]:
    """The arrays of these keys of an .npz, and those optional ones that it has; its others may be anything.

    expected: what the file should be. Raises Problem.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            present = archive.files
            if missing := sorted(set(keys) - set(present)):
                raise ValueError(f"no {', '.join(missing)}")
            return {key: archive[key] for key in (*keys, *optional) if key in present}
    # numpy and zipfile raise nearly anything on a damaged file, and on what is none.
    except Exception as error:
        got, next_step = str(error).rstrip("."), "name another, or write it again"
        raise Problem("the file cannot be read", got, expected, next_step, str(path)) from None
