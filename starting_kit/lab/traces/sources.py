"""Which reader a source of routing needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from placement.errors import Problem

from .hotness import read_hotness, routing_from_hotness
from .records import read_records, trace_of
from .request_files import read_domain, read_requests, read_stacked
from .routing_trace import RoutingTrace


@dataclass(frozen=True)
class Wanted:
    """What of a source is read; top_k, seed: how hotness is dealt out to tokens."""

    part: str = "all"
    layers: tuple[int, ...] | None = None
    max_requests: int | None = None
    domain: str = ""
    top_k: int = 8
    seed: int = 0


def read_source(path: Path, experts: int, wanted: Wanted) -> RoutingTrace:
    """Read routing from a folder or file.

    A folder, or an .npz with `routed_experts`, holds requests; one with `topk_experts` batches of a layer; with a
    domain it is a file of several; .jsonl holds records; .npy hotness, or an .npz with nothing else, which is dealt out
    to tokens of top_k experts each. Raises Problem.
    """
    if not path.exists():
        raise Problem("there is no source", f"nothing at {path}", "a file or a folder", "correct the path")
    layers = wanted.layers
    if wanted.domain:
        return read_domain(path, wanted.domain, experts, layers, wanted.max_requests)
    if path.suffix == ".jsonl":
        trace = trace_of(read_records(path, experts), experts)
        return trace if layers is None else trace.select(layers)
    names = _names(path)
    if "topk_experts" in names:
        return _one_layer(path, experts)
    if names == ["hotness"] or path.suffix == ".npy":
        return _from_hotness(path, wanted)
    return read_requests(path, experts, wanted.part, layers, wanted.max_requests)


def _names(path: Path) -> list[str]:
    if path.suffix != ".npz":
        return []
    try:
        with np.load(path, allow_pickle=False) as archive:
            return archive.files
    # numpy and zipfile raise nearly anything on a damaged file.
    except Exception as error:
        expected, next_step = "an .npz without pickles", "name another, or export it again"
        raise Problem("the file cannot be read", str(error).rstrip("."), expected, next_step, str(path)) from None


def _one_layer(path: Path, experts: int) -> RoutingTrace:
    batches = read_stacked(path, experts)
    return RoutingTrace(experts, (0,), batches.choices[None], batches.batch_of_token, batches.origins)


def _from_hotness(path: Path, wanted: Wanted) -> RoutingTrace:
    hotness = read_hotness(path)
    try:
        dealt = routing_from_hotness(hotness, wanted.top_k, wanted.seed)
        choices = np.stack([batches.choices for batches in dealt])
    except ValueError as error:
        expected, next_step = "counts of tokens that each chose --top-k experts", "correct --top-k, or count again"
        raise Problem("the hotness cannot be dealt out", str(error), expected, next_step, str(path)) from None
    trace = RoutingTrace(hotness.shape[2], tuple(range(len(dealt))), choices, dealt[0].batch_of_token)
    return trace if wanted.layers is None else trace.select(wanted.layers)
