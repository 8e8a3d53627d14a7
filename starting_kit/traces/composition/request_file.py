"""Recorded requests: which experts each of their tokens chose in every layer, and each request's label.

A file of many requests (`../conversion/stacked_requests.py` has the forms), or a folder that `python -m lab import`
wrote of one, which gives the same. Where there are no labels, each request is its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from placement.errors import OrganizerError

from ..conversion.routing_folder import read_head, read_labels, read_layer, read_tokens
from ..conversion.stacked_requests import Stacked, stacked_of
from ..conversion.stored_array import stored_arrays


@dataclass(frozen=True, eq=False)
class Requests:
    """Requests one after another.

    choices: integers [token, layer, k], no expert twice in a token; lengths: int64 [request], tokens of each, at least
    one; labels: one text for each request; experts: how many there are.
    """

    choices: np.ndarray
    lengths: np.ndarray
    labels: tuple[str, ...]
    experts: int


def read_requests(path: Path) -> Requests:
    """Read recorded requests; those without a token are left out.

    There are as many experts as the largest id says, where the file does not state it. Raises OrganizerError.
    """
    stacked = _of_folder(path) if path.is_dir() else stacked_of(stored_arrays(path), path.name)
    experts, labels = stacked.experts, stacked.labels
    parts = [np.asarray(part) for part, _ in stacked.parts]
    choices = np.concatenate(parts) if len(parts) > 1 else parts[0]
    lengths = np.concatenate([lengths for _, lengths in stacked.parts])
    if experts is None:
        experts = int(choices.max()) + 1
    if choices.min() < 0 or choices.max() >= experts:
        got = f"experts {choices.min()} .. {choices.max()}"
        raise _wrong("an expert is out of range", got, f"0 .. {experts - 1}", path.name)
    ordered = np.sort(choices, axis=2)
    if (twice := (ordered[..., 1:] == ordered[..., :-1]).any(axis=2)).any():
        token, layer = np.argwhere(twice)[0]
        got = f"token {token}, layer {layer}: {choices[token, layer].tolist()}"
        raise _wrong("a token chooses an expert twice", got, "different ones", path.name)
    some = lengths > 0
    named = tuple(str(label) for label, there in zip(labels, some, strict=True) if there)
    return Requests(choices, lengths[some].astype(np.int64), named, experts)


def _of_folder(folder: Path) -> Stacked:
    head = read_head(folder)
    choices = np.stack([read_layer(folder, head, layer) for layer in range(len(head.layers))])
    requests = read_tokens(folder, head)[0]
    arrays = {"experts": np.array(head.experts), "choices": choices, "requests": requests}
    stacked = stacked_of(arrays, folder.name)
    labels = read_labels(folder, stacked.labels)
    return stacked if labels is None else stacked._replace(labels=labels)


def _wrong(what: str, got: str, expected: str, where: str) -> OrganizerError:
    return OrganizerError(what, got, expected, "export the file again, or name another", where)
