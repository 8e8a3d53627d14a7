"""A routing trace in a file: .npz without pickles."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from placement.errors import Problem
from placement.traces.whole_file import whole_file

from .routing_trace import RoutingTrace

TRACE_KEYS = {"experts", "layers", "choices", "requests"}


def save_trace(path: Path, trace: RoutingTrace) -> None:
    """Write a routing trace; scores are not kept. Raises OSError."""
    arrays = {"experts": np.array(trace.experts), "layers": np.array(trace.layers), "requests": trace.requests}
    arrays["choices"] = trace.choices.astype(np.uint16)
    if trace.origins is not None:
        arrays["origins"] = trace.origins
    with whole_file(path) as file:
        np.savez_compressed(file, **arrays)


def load_trace(path: Path) -> RoutingTrace:
    """Read what save_trace wrote. Raises Problem."""
    expected = "a trace that `python -m lab import` or `generate` wrote"
    arrays = read_arrays(path, TRACE_KEYS, expected, optional=("origins",))
    origins = arrays["origins"].astype(np.int32) if "origins" in arrays else None
    layers = tuple(int(layer) for layer in arrays["layers"])
    choices = arrays["choices"].astype(np.int32)
    return RoutingTrace(int(arrays["experts"]), layers, choices, arrays["requests"].astype(np.int64), origins)


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
