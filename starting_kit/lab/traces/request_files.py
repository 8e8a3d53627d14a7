"""Request files (.npz, one per request) and stacked arrays of routing, read without pickles and checked."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from placement.errors import Problem

from .batches import Batches, stacked
from .routing_trace import RoutingTrace, wrong_choice
from .trace_file import read_arrays

PARTS = ("all", "prompt", "output")
REQUEST_KEYS = ("prompt_token_ids", "output_token_ids", "routed_experts")


@dataclass(frozen=True, eq=False)
class Request:
    """What a model did with one request.

    request_id: a number or a name; prompt, output: int64 [token], the ids of the tokens; routed_experts: integers
    [token, layer, k], prompt and then output.
    """

    request_id: int | str
    prompt: np.ndarray
    output: np.ndarray
    routed_experts: np.ndarray

    def part(self, part: str) -> np.ndarray:
        """The routing of all tokens, of the prompt's or of the output's: [token, layer, k]."""
        if part not in PARTS:
            raise ValueError(f"no part {part!r} of a request; expected one of {', '.join(PARTS)}")
        first = len(self.prompt) if part == "output" else 0
        return self.routed_experts[first : len(self.prompt) if part == "prompt" else None]


def read_request(path: Path, index: int = 0) -> Request:
    """Read one request.

    index: its id where the file has none. The ids of experts are not checked here, since layers that are left out may
    hold none. Raises Problem for what is no .npz, pickled objects, missing keys, wrong ranks and dtypes, and
    routing that has not one row per token of prompt and output.
    """
    arrays = read_arrays(path, REQUEST_KEYS, "an .npz of plain arrays, one request", optional=("request_id",))
    lists = [_integers(path, arrays, key, 1) for key in REQUEST_KEYS[:2]]
    prompt, output = (values.astype(np.int64) for values in lists)
    routed = _integers(path, arrays, "routed_experts", 3)
    if routed.size and len(routed) != len(prompt) + len(output):
        expected = f"{len(prompt)} of the prompt and {len(output)} of the output"
        raise _wrong("routed_experts has other tokens", f"{len(routed)} tokens", expected, path)
    name = np.asarray(arrays.get("request_id", index))
    if name.size != 1:
        raise _wrong("request_id has another form", f"shape {list(name.shape)}", "one value", path)
    text = str(name.ravel()[0])
    try:
        return Request(int(text), prompt, output, routed)
    except ValueError:
        return Request(text, prompt, output, routed)


def read_requests(
    source: Path | Iterable[Path],
    experts: int,
    part: str = "all",
    layers: Sequence[int] | None = None,
    max_requests: int | None = None,
) -> RoutingTrace:
    """Read the requests of a folder (its .npz files in sorted order) or of a list of files as one trace.

    part: "all", "prompt" or "output" tokens; layers: positions in the files' layers, by default all; max_requests: read
    no more. The trace's `requests` are the request ids when those are distinct numbers, else 0, 1, 2, ... A file
    without tokens is left out with a warning. Raises Problem as `read_request` does, for experts out of range or
    repeated in a token, layers that a file has not, and files of different shapes, and when nothing is left.
    """
    if part not in PARTS:
        raise ValueError(f"no part {part!r} of a request; expected one of {', '.join(PARTS)}")
    files = _files(source)[:max_requests]
    ids: list[int | str] = []
    routed: list[np.ndarray] = []
    for index, path in enumerate(files):
        request = read_request(path, index)
        values = request.part(part)
        if not values.size:
            warnings.warn(f"{path} has no routing of its {part} tokens and is left out", stacklevel=2)
            continue
        values = _chosen_layers(path, values, layers)
        if routed and values.shape[1:] != routed[0].shape[1:]:
            got, before = (f"{layers} layers of {k} experts" for _, layers, k in (values.shape, routed[0].shape))
            raise _wrong("the file is of another model", got, f"{before}, as in the files before", path)
        _check(path, values, experts, layers)
        ids.append(request.request_id)
        routed.append(values.astype(np.int32))
    if not routed:
        got = f"none in {len(files)} request files of {source}"
        raise Problem("there is no routing", got, "a file with tokens", "name other files, or another part")
    numbers = all(isinstance(name, int) and abs(name) < 2**63 for name in ids) and len(set(ids)) == len(ids)
    of_request = np.array(ids if numbers else range(len(ids)), np.int64)
    choices = np.ascontiguousarray(np.concatenate(routed).transpose(1, 0, 2))
    names = tuple(range(len(choices)) if layers is None else layers)
    return RoutingTrace(experts, names, choices, np.repeat(of_request, [len(values) for values in routed]))


def read_domain(
    path: Path, domain: str, experts: int = 64, layers: Sequence[int] | None = None, max_requests: int | None = None
) -> RoutingTrace:
    """Read a domain of a file with `<domain>` integers [token, layer, k] and `<domain>_len` [request], as ESFT's.

    A domain's requests lie one after another; layers, max_requests: as in `read_requests`. Raises Problem.
    """
    arrays = read_arrays(path, (domain, f"{domain}_len"), "an .npz of plain arrays, several domains")
    values, lengths = _integers(path, arrays, domain, 3), _integers(path, arrays, f"{domain}_len", 1)
    if lengths.sum() != len(values) or (lengths < 0).any():
        raise _wrong(
            f"{domain}_len does not fit", f"sum {lengths.sum()}", f"the {len(values)} tokens of {domain}", path
        )
    lengths = lengths[:max_requests].astype(np.int64)
    values = _chosen_layers(path, values[: lengths.sum()], layers)
    if not values.size:
        raise _wrong("the domain is empty", f"no tokens of {domain}", "at least one", path)
    _check(path, values, experts, layers)
    names = tuple(range(values.shape[1]) if layers is None else layers)
    requests = np.repeat(np.arange(len(lengths)), lengths)
    return RoutingTrace(experts, names, values.transpose(1, 0, 2).astype(np.int32, order="C"), requests)


def read_stacked(path: Path, experts: int = 256, rows: int = 16) -> Batches:
    """Read one layer's batches from an .npz of `topk_experts` [batch, token, k] and `origin_rows` [batch, token].

    Raises Problem for other arrays, experts and rows.
    """
    arrays = read_arrays(path, ("topk_experts", "origin_rows"), "an .npz of plain arrays, one layer's batches")
    choices, origins = _integers(path, arrays, "topk_experts", 3), _integers(path, arrays, "origin_rows", 2)
    if not choices.size or origins.shape != choices.shape[:2]:
        got = f"{list(choices.shape)} and {list(origins.shape)}"
        raise _wrong("topk_experts and origin_rows do not fit", got, "[batch, token, k] and [batch, token]", path)
    if origins.min() < 0 or origins.max() >= rows:
        got = f"{origins.min()} .. {origins.max()}"
        raise _wrong("origin_rows is out of range", got, f"0 .. {rows - 1}", path)
    _check(path, choices.reshape(-1, 1, choices.shape[2]), experts, None)
    return stacked(choices, origins, experts)


def _files(source: Path | Iterable[Path]) -> list[Path]:
    if isinstance(source, (str, Path)):
        folder = Path(source)
        return sorted(folder.glob("*.npz")) if folder.is_dir() else [folder]
    return [Path(path) for path in source]


def _integers(path: Path, arrays: dict[str, np.ndarray], key: str, rank: int) -> np.ndarray:
    values = arrays[key]
    if not isinstance(values, np.ndarray) or values.ndim != rank:
        shape = list(getattr(values, "shape", []))
        raise _wrong(f"{key} has another form", f"shape {shape}", f"{rank} dimension{'s' * (rank > 1)}", path)
    # An empty list is saved as float64 by default.
    if values.dtype.kind not in "iu" and values.size:
        raise _wrong(f"{key} has another form", f"dtype {values.dtype}", "integers", path)
    return values


def _chosen_layers(path: Path, values: np.ndarray, layers: Sequence[int] | None) -> np.ndarray:
    if layers is None:
        return values
    if not layers or min(layers) < 0 or max(layers) >= values.shape[1]:
        got = f"0 .. {values.shape[1] - 1}"
        raise _wrong("the file has other layers", got, f"{list(layers)} among them", path)
    return values[:, list(layers)]


def _check(path: Path, values: np.ndarray, experts: int, layers: Sequence[int] | None) -> None:
    for index in range(values.shape[1]):
        name = index if layers is None else layers[index]
        if wrong := wrong_choice(values[:, index], experts):
            raise _wrong(f"layer {name} has no right choices", *wrong, path)


def _wrong(what: str, got: str, expected: str, path: Path) -> Problem:
    return Problem(what, got, expected, "export the file again", str(path))
