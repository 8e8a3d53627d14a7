"""Routed experts that vLLM returns with each request, batched by a model: a request is not a time axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from placement.errors import OrganizerError

from .batching import add_request, schedule
from .inputs import input_files
from .layers import dropped
from .recording import Recording, counted
from .vllm_requests import read_routed_tokens

SUFFIXES = (".npz", ".npy")


def read_vllm(paths: Sequence[Path], experts: int, in_flight: int, prompt: int | None, allow_pickle: bool) -> Recording:
    """The hotness of requests, one file each, served `in_flight` at a time in the files' order.

    prompt: length of the prompts that the files do not tell. Files are read twice, to hold one request at a time.
    Raises OrganizerError.
    """
    files = input_files(paths, SUFFIXES)
    rows, prompts = [], []
    dense: np.ndarray | None = None
    choices = 0
    for file in files:
        request = read_routed_tokens(file, prompt, allow_pickle)
        layers = request.ids.shape[1]
        if dense is None:
            dense, choices = np.ones(layers, bool), request.ids.shape[2]
        if (layers, request.ids.shape[2]) != (len(dense), choices):
            got = f"{layers} layers, {counted(request.ids.shape[2], 'choice')}"
            expected = f"{len(dense)} layers, {counted(choices, 'choice')} as in {files[0].name}"
            raise OrganizerError(
                "the request is of another model", got, expected, "convert one model at a time", file.name
            )
        # The buffer begins at zero, so the rows of a layer without experts name expert 0 in every choice.
        dense &= (request.ids <= 0).all(axis=(0, 2))
        rows.append(len(request.ids))
        prompts.append(request.prompt)
    if dense.all():
        expected = "the experts of each token"
        raise OrganizerError(
            "no layer routes a token", "expert 0 or none everywhere", expected, "record again", files[0].name
        )
    plan = schedule(rows, prompts, in_flight)
    hotness = np.zeros((plan.iterations, int((~dense).sum()), experts), np.int32)
    for file, start in zip(files, plan.starts, strict=True):
        request = read_routed_tokens(file, prompt, allow_pickle)
        ids = request.ids[:, ~dense]
        _check_ids(ids, np.flatnonzero(~dense), experts, file.name)
        add_request(hotness, ids, request.prompt, start)
    form = (
        f"vLLM routed experts, {counted(len(files), 'file')}; batching model: {in_flight} requests in flight, a prompt"
        " in one iteration, then one token per iteration, the next request in order of the files"
    )
    return Recording(hotness, form, _notes(files, plan.iterations, plan.full, in_flight, dense))


def _notes(files: list[Path], iterations: int, full: int, in_flight: int, dense: np.ndarray) -> list[str]:
    notes = [f"{counted(len(files), 'request')} in order, {files[0].name} .. {files[-1].name}"]
    if full < iterations:
        notes.append(f"the last {iterations - full} of {iterations} iterations have fewer than {in_flight} in flight")
    if dense.any():
        notes.append(dropped(dense))
    return notes


def _check_ids(ids: np.ndarray, layers: np.ndarray, experts: int, where: str) -> None:
    """Raise OrganizerError for ids [token, layer, choice] that are no experts, or twice in a token's choices.

    layers: the number that each layer has in the file.
    """
    wrong = (ids < -1) | (ids >= experts)
    if wrong.any():
        token, layer, choice = np.argwhere(wrong)[0]
        got = f"{ids[token, layer, choice]} at token {token}, layer {layers[layer]}, choice {choice} (from 0)"
        expected = f"0 .. {experts - 1}, or -1 for none"
        raise OrganizerError("routed_experts holds what is no expert", got, expected, "correct --experts", where)
    ordered = np.sort(ids, axis=2)
    twice = (ordered[..., 1:] == ordered[..., :-1]) & (ordered[..., 1:] >= 0)
    if twice.any():
        token, layer, choice = np.argwhere(twice)[0]
        got = f"expert {ordered[token, layer, choice]} twice at token {token}, layer {layers[layer]} (from 0)"
        raise OrganizerError("a token has an expert twice", got, "different experts", "record again", where)
