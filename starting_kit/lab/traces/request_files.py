"""Request files (.npz, one per request) and stacked arrays of routing, read without pickles and checked."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .batches import Batches, stacked
from .routing_trace import RoutingTrace, check_choices

PARTS = ("all", "prompt", "output")


class RequestError(ValueError):
    """A file does not hold what it should; the message names it."""


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


def write_request(path: Path, request: Request) -> None:
    """Write a request in the form that `read_request` reads. Raises OSError."""
    with open(path, "wb") as file:
        np.savez_compressed(
            file,
            request_id=np.array(request.request_id),
            prompt_token_ids=request.prompt,
            output_token_ids=request.output,
            routed_experts=request.routed_experts,
        )


def read_request(path: Path, index: int = 0) -> Request:
    """Read one request.

    index: its id where the file has none. The ids of experts are not checked here, since layers that are left out may
    hold none. Raises RequestError for what is no .npz, pickled objects, missing keys, wrong ranks and dtypes, and
    routing that has not one row per token of prompt and output.
    """
    arrays = _arrays(path, "request_id", "prompt_token_ids", "output_token_ids", "routed_experts")
    lists = [_integers(path, arrays, key, 1) for key in ("prompt_token_ids", "output_token_ids")]
    prompt, output = (values.astype(np.int64) for values in lists)
    routed = _integers(path, arrays, "routed_experts", 3)
    if routed.size and len(routed) != len(prompt) + len(output):
        raise RequestError(
            f"{path}: routed_experts has {len(routed)} tokens; expected {len(prompt)} of the prompt and {len(output)} "
            "of the output"
        )
    name = np.asarray(arrays.get("request_id", index))
    if name.size != 1:
        raise RequestError(f"{path}: request_id has the shape {list(name.shape)}; expected one value")
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
    without tokens is left out with a warning. Raises RequestError as `read_request` does, for experts out of range or
    repeated in a token, layers that a file has not, and files of different shapes; ValueError when nothing is left.
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
            raise RequestError(
                f"{path}: {values.shape[1]} layers of {values.shape[2]} experts; expected {routed[0].shape[1]} of "
                f"{routed[0].shape[2]}, as in the files before"
            )
        _check(path, values, experts, layers)
        ids.append(request.request_id)
        routed.append(values.astype(np.int32))
    if not routed:
        raise ValueError(f"no routing in {len(files)} request files of {source}; expected at least one with tokens")
    numbers = all(isinstance(name, int) and abs(name) < 2**63 for name in ids) and len(set(ids)) == len(ids)
    of_request = np.array(ids if numbers else range(len(ids)), np.int64)
    choices = np.ascontiguousarray(np.concatenate(routed).transpose(1, 0, 2))
    names = tuple(range(len(choices)) if layers is None else layers)
    return RoutingTrace(experts, names, choices, np.repeat(of_request, [len(values) for values in routed]))


def read_domain(
    path: Path, domain: str, experts: int = 64, layers: Sequence[int] | None = None, max_requests: int | None = None
) -> RoutingTrace:
    """Read a domain of a file with `<domain>` integers [token, layer, k] and `<domain>_len` [request], as ESFT's.

    A domain's requests lie one after another; layers, max_requests: as in `read_requests`. Raises RequestError.
    """
    arrays = _arrays(path, domain, f"{domain}_len")
    values, lengths = _integers(path, arrays, domain, 3), _integers(path, arrays, f"{domain}_len", 1)
    if lengths.sum() != len(values) or (lengths < 0).any():
        raise RequestError(f"{path}: the lengths of {domain} sum to {lengths.sum()}; expected its {len(values)} tokens")
    lengths = lengths[:max_requests].astype(np.int64)
    values = _chosen_layers(path, values[: lengths.sum()], layers)
    if not values.size:
        raise RequestError(f"{path}: no tokens of {domain}; expected at least one")
    _check(path, values, experts, layers)
    names = tuple(range(values.shape[1]) if layers is None else layers)
    requests = np.repeat(np.arange(len(lengths)), lengths)
    return RoutingTrace(experts, names, values.transpose(1, 0, 2).astype(np.int32, order="C"), requests)


def read_stacked(path: Path, experts: int = 256, rows: int = 16) -> Batches:
    """Read one layer's batches from an .npz of `topk_experts` [batch, token, k] and `origin_rows` [batch, token].

    Raises RequestError for other arrays, experts and rows.
    """
    arrays = _arrays(path, "topk_experts", "origin_rows")
    choices, origins = _integers(path, arrays, "topk_experts", 3), _integers(path, arrays, "origin_rows", 2)
    if not choices.size or origins.shape != choices.shape[:2]:
        raise RequestError(
            f"{path}: topk_experts {list(choices.shape)} and origin_rows {list(origins.shape)} do not fit; expected "
            "[batch, token, k] and [batch, token]"
        )
    if origins.min() < 0 or origins.max() >= rows:
        raise RequestError(f"{path}: origin rows {origins.min()} .. {origins.max()}; expected 0 .. {rows - 1}")
    _check(path, choices.reshape(-1, 1, choices.shape[2]), experts, None)
    return stacked(choices, origins, experts)


def _files(source: Path | Iterable[Path]) -> list[Path]:
    if isinstance(source, (str, Path)):
        folder = Path(source)
        return sorted(folder.glob("*.npz")) if folder.is_dir() else [folder]
    return [Path(path) for path in source]


def _arrays(path: Path, *keys: str) -> dict[str, np.ndarray]:
    """Those of the arrays that the file has; others may be anything."""
    if not zipfile.is_zipfile(path):
        raise RequestError(f"{path} is not an .npz; expected a zip of arrays")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in keys if key in archive.files}
    # numpy and zipfile raise nearly anything on a damaged file; a pickled array is a ValueError of numpy's.
    except Exception as error:
        raise RequestError(f"{path} cannot be read: {error}; expected plain arrays without pickled objects") from error


def _integers(path: Path, arrays: dict[str, np.ndarray], key: str, rank: int) -> np.ndarray:
    if key not in arrays:
        raise RequestError(f"{path} has no {key}; of what is needed it has {', '.join(arrays) or 'nothing'}")
    values = arrays[key]
    if not isinstance(values, np.ndarray) or values.ndim != rank:
        shape = list(getattr(values, "shape", []))
        raise RequestError(f"{path}: {key} has the shape {shape}; expected {rank} dimension{'s' * (rank > 1)}")
    # An empty list is saved as float64 by default.
    if values.dtype.kind not in "iu" and values.size:
        raise RequestError(f"{path}: {key} has dtype {values.dtype}; expected integers")
    return values


def _chosen_layers(path: Path, values: np.ndarray, layers: Sequence[int] | None) -> np.ndarray:
    if layers is None:
        return values
    if not layers or min(layers) < 0 or max(layers) >= values.shape[1]:
        raise RequestError(f"{path} has the layers 0 .. {values.shape[1] - 1}; expected {list(layers)} among them")
    return values[:, list(layers)]


def _check(path: Path, values: np.ndarray, experts: int, layers: Sequence[int] | None) -> None:
    for index in range(values.shape[1]):
        name = index if layers is None else layers[index]
        check_choices(values[:, index], experts, f"{path}: layer {name}: ", RequestError)
