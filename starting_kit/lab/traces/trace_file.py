"""A routing trace in a file: .npz without pickles."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .routing_trace import RoutingTrace

TRACE_KEYS = {"experts", "layers", "choices", "requests"}


class FileRefused(ValueError):
    """A file that is not what it should be; the text names it."""


def save_trace(path: Path, trace: RoutingTrace) -> None:
    """Write a routing trace; scores are not kept. Raises OSError."""
    arrays = {"experts": np.array(trace.experts), "layers": np.array(trace.layers), "requests": trace.requests}
    arrays["choices"] = trace.choices.astype(np.uint16)
    if trace.origins is not None:
        arrays["origins"] = trace.origins
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)


def load_trace(path: Path) -> RoutingTrace:
    """Read what save_trace wrote. Raises FileRefused."""
    arrays = read_arrays(path, TRACE_KEYS, "a trace that `python -m lab import` or `generate` wrote")
    origins = arrays["origins"].astype(np.int32) if "origins" in arrays else None
    layers = tuple(int(layer) for layer in arrays["layers"])
    choices = arrays["choices"].astype(np.int32)
    return RoutingTrace(int(arrays["experts"]), layers, choices, arrays["requests"].astype(np.int64), origins)


def read_arrays(path: Path, keys: set[str], expected: str) -> dict[str, np.ndarray]:
    """All arrays of an .npz. keys: must be there; expected: what the file should be. Raises FileRefused."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        if missing := sorted(keys - set(arrays)):
            raise ValueError(f"no {', '.join(missing)}")
        return arrays
    # numpy and zipfile raise nearly anything on a damaged file.
    except Exception as error:
        raise FileRefused(f"{path} cannot be read. Got: {error}. Expected: {expected}.") from None
