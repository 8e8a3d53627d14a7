"""Which reader a source of routing needs, and the trace that is written of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from placement.errors import Problem
from traces.conversion.dump_files import names_of
from traces.conversion.narrow_ids import widened
from traces.conversion.plain_array import load_array
from traces.conversion.routed_files import request_files, routed_requests
from traces.conversion.routed_tokens import RoutedTokens, Stated, layers_of, part_of, unknown_prompt
from traces.conversion.routing_folder import HEAD, RoutingHead, RoutingWriter, read_labels
from traces.conversion.stacked_requests import of_label
from traces.conversion.survey import checked, survey

from .hotness import check_dealt, dealt_layer, read_hotness
from .layers import LazyLayers
from .records import read_records, trace_of
from .routing_trace import RoutingTrace
from .stacked_batches import read_stacked_trace
from .trace_file import load_trace, save_trace

PARTS = ("all", "prompt", "output")
TOP_K = 8
BATCHES = ("topk_experts", "tokens")


@dataclass(frozen=True)
class Wanted:
    """What of a source is taken, and what no file tells.

    domain: which of a file's labelled requests; prompt: tokens of the prompts; top_k: experts of a token, where hotness
    is dealt out (seed) or an answer is base64; allow_pickle: also read pickled objects, which can run code.
    """

    part: str = "all"
    layers: tuple[int, ...] | None = None
    max_requests: int | None = None
    domain: str = ""
    prompt: int | None = None
    top_k: int | None = None
    seed: int = 0
    allow_pickle: bool = False

    @property
    def stated(self) -> Stated:
        """The part of it that readers of requests take."""
        return Stated(self.prompt, self.top_k, self.domain, self.allow_pickle)


def import_source(source: Path, experts: int, wanted: Wanted, output: Path) -> list[str]:
    """Read routing from a folder or file and write the folder of a trace; returns what was assumed or left out.

    Requests, in the forms of `traces/conversion`; else batches of one layer (.npz with topk_experts), records (.jsonl
    with topk_experts), or hotness, which is dealt out to tokens. Raises Problem.
    """
    if not source.exists():
        raise Problem("there is no source", f"nothing at {source}", "a file or a folder", "correct the path")
    if (source / HEAD).is_file():
        return _import_again(source, experts, wanted, output)
    names = names_of(source) if source.suffix == ".npz" and source.is_file() else []
    if source.suffix == ".jsonl" and _has_records(source):
        trace = trace_of(read_records(source, experts), experts)
    elif "topk_experts" in names:
        trace = read_stacked_trace(source, experts)
    elif "hotness" in names or _is_hotness(source, experts):
        trace = _from_hotness(source, wanted)
    else:
        return _import_requests(request_files([source]), experts, wanted, output)
    save_trace(output, trace if wanted.layers is None else trace.select(wanted.layers))
    return []


def _import_requests(files: Sequence[Path], experts: int, wanted: Wanted, output: Path) -> list[str]:
    """Requests twice, to hold one at a time: once to see what they have in common, once to write them."""

    def taken() -> Iterator[RoutedTokens]:
        requests = widened(routed_requests(files, wanted.stated), experts, [])
        for request in islice(requests, wanted.max_requests):
            yield part_of(request if wanted.layers is None else layers_of(request, wanted.layers), wanted.part)

    found = survey(taken())
    with RoutingWriter(output, RoutingHead(experts, found.layers, sum(found.rows), found.choices)) as writer:
        for request in checked(taken(), found, experts):
            if (request.ids < 0).any():
                token, layer, _ = np.argwhere(request.ids < 0)[0]
                got = f"no expert in a choice of token {token}, layer {found.layers[layer]} (from 0)"
                expected, next_step = f"{found.choices} experts of each token", "record again"
                raise Problem("a token has fewer experts than others", got, expected, next_step, request.where)
            for layer in range(len(found.layers)):
                writer.add(layer, request.ids[:, layer])
        numbers, labels = _numbers(found.names), found.labels
        labelled = None if None in labels else dict(zip(numbers.tolist(), labels, strict=True))
        writer.finish(np.repeat(numbers, found.rows), labels=labelled)
    if labelled is None and set(labels) != {None}:
        return [*found.notes, f"labels left out: {labels.count(None)} of {len(labels)} requests have none"]
    return found.notes


def _import_again(source: Path, experts: int, wanted: Wanted, output: Path) -> list[str]:
    """Those requests of a trace's folder that have a label."""
    if not wanted.domain:
        expected, next_step = "requests, batches or hotness", "give the folder to the other commands as it is"
        raise Problem("the source is a trace already", str(source), expected, next_step)
    trace = load_trace(source)
    if trace.experts != experts:
        got, expected = f"--experts {experts}", f"the {trace.experts} of the trace"
        raise Problem("the trace has other experts", got, expected, "correct --experts", str(source))
    if wanted.part != "all":
        raise unknown_prompt(source.name)
    numbers = np.unique(trace.requests)
    labels = read_labels(source, numbers.tolist())
    kept = numbers[of_label(numbers.tolist() if labels is None else labels, wanted.domain, source.name)]
    kept = kept[: wanted.max_requests]
    part = trace.taken(np.flatnonzero(np.isin(trace.requests, kept)))
    part = part if wanted.layers is None else part.select(wanted.layers)
    save_trace(output, part, None if labels is None else dict.fromkeys(kept.tolist(), wanted.domain))
    return []


def _numbers(names: list[int | str | None]) -> np.ndarray:
    """The requests' names where those are distinct numbers, else 0, 1, 2, ..."""
    numbers = all(isinstance(name, int) and abs(name) < 2**63 for name in names) and len(set(names)) == len(names)
    return np.array(names if numbers else range(len(names)), np.int64)


def _has_records(path: Path) -> bool:
    """Whether the first line with routing is a batch of a layer; what is no JSON is refused by the readers."""
    with open(path, "rb") as lines:
        for line in lines:
            try:
                fields = json.loads(line) if line.strip() else {}
            except (ValueError, RecursionError):
                return True
            if not isinstance(fields, dict) or any(key in fields for key in BATCHES):
                return True
            if "topk_ids" in fields:
                return False
    return False


def _is_hotness(path: Path, experts: int) -> bool:
    """Whether an .npy counts every expert; the ids of a request's tokens have a shorter axis of choices."""
    try:
        return path.suffix == ".npy" and load_array(path).shape[-1:] == (experts,)
    # Pickled ids may be allowed.
    except Problem:
        return False


def _from_hotness(path: Path, wanted: Wanted) -> RoutingTrace:
    stored, k = load_array(path), wanted.top_k or TOP_K
    if stored.ndim == 2:
        got, expected = f"[layer, expert] {list(stored.shape)}", "tokens, or counts [iteration, layer, expert]"
        raise Problem("frequencies name no tokens", got, expected, "give the file to `plan` as it is", str(path))
    hotness = read_hotness(path)
    try:
        check_dealt(hotness, k)
        totals = hotness.sum(axis=2, dtype=np.int64)
        if (other := totals != totals[:, :1]).any():
            iteration, layer = np.argwhere(other)[0]
            raise ValueError(
                f"layer {layer} has another total than layer 0 in iteration {iteration}; expected the same"
            )
    except ValueError as error:
        expected, next_step = "counts of tokens that each chose --top-k experts", "correct --top-k, or count again"
        raise Problem("the hotness cannot be dealt out", str(error), expected, next_step, str(path)) from None
    tokens = totals[:, 0] // k
    layers = LazyLayers(
        (hotness.shape[1], int(tokens.sum()), k), lambda layer: dealt_layer(hotness, layer, k, wanted.seed).choices
    )
    return RoutingTrace(
        hotness.shape[2], tuple(range(hotness.shape[1])), layers, np.repeat(np.arange(len(tokens)), tokens)
    )
