"""Choices whose iteration is told, as JSON lines: a step's tokens, or one of them, in one layer on each."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from placement.errors import OrganizerError

from .choices import no_chance, wrong_choice
from .counts import rectangular
from .inputs import refuse_copies
from .json_lines import objects_in, whole_number
from .recording import Recording, counted
from .tally import Tally

STEPS = ("step", "iteration", "batch_id")
IDS = ("top_indices", "topk_experts", "topk_ids", "topk")
TOKENS, NAMES = ("token_idx", "token_id", "token"), ("req_id", "request_id")
NEEDED = f"layer, one of {', '.join(STEPS)} and one of {', '.join(IDS)}"


def read_step_lines(files: Sequence[Path], experts: int, skip_incomplete: bool, form: str) -> Recording:
    """The choices of all files, summed over ranks, a step an iteration.

    experts: of the model; skip_incomplete: leave out steps that a layer or a rank lacks, or whose layers have other
    numbers of tokens. Layers of multi-token prediction are left out. Raises OrganizerError.
    """
    refuse_copies(files)
    tally, other = Tally("step"), 0
    tokens: dict[int, dict[int, int]] = {}
    single: set[tuple[Any, ...]] = set()
    # The file that a rank's lines without a token lie in: a rank may have several microbatches in a step.
    files_of: dict[tuple[int, int, int], Path] = {}
    # Lines of several tokens, by what they hold: one that is there again is a copy.
    held: dict[tuple[Any, ...], str] = {}
    width: tuple[int, str] | None = None
    for file in files:
        for fields, where in objects_in(file):
            step_key = next((key for key in STEPS if key in fields), None)
            ids_key = next((key for key in IDS if key in fields), None)
            if ids_key is None and "type" in fields:
                continue
            if step_key is None or ids_key is None or "layer" not in fields:
                raise _wrong("the line has other keys", ", ".join(fields) or "none", NEEDED, where)
            if fields.get("block", "decoder") != "decoder":
                other += 1
                continue
            step, layer = whole_number(fields, step_key, where), whole_number(fields, "layer", where)
            rank = whole_number(fields, "rank", where) if "rank" in fields else 0
            ids = _choices(fields[ids_key], ids_key, experts, f"{where}, step {step}, layer {layer}")
            if token_key := next((key for key in TOKENS if key in fields), None):
                name = next((str(fields[key]) for key in NAMES if key in fields), None)
                known = (step, layer, rank, name, whole_number(fields, token_key, where))
                if known in single:
                    got = f"token {known[-1]} of step {step}, layer {layer} again"
                    raise _wrong("a token is there twice", got, "each once", where)
                single.add(known)
            elif "rank" in fields and (first := files_of.setdefault((step, layer, rank), file)) != file:
                got = f"step {step}, layer {layer} of rank {rank} in {first.name}, too"
                next_step = "leave out the file where it is a copy; else write both into one"
                raise _wrong("a rank's choices are in two files", got, "a file for each rank", where, next_step)
            width = width or (ids.shape[1], where)
            if ids.shape[1] != width[0]:
                got, expected = counted(ids.shape[1], "expert"), f"{width[0]} of each token, as in {width[1]}"
                raise _wrong("a token has another number of experts", got, expected, where)
            if no_chance(ids[(ids >= 0).any(axis=1)], experts):
                copy = held.setdefault((step, layer, rank, blake2b(ids.tobytes(), digest_size=16).digest()), where)
                if copy != where:
                    got = f"the choices of step {step}, layer {layer} in {copy} again"
                    raise _wrong("a line is there twice", got, "each once", where, "leave out what repeats others")
            counts = np.bincount(ids[ids >= 0], minlength=experts)
            tally.add(step, layer, 0 if token_key else rank, counts, where, again=True)
            of_step = tokens.setdefault(step, {})
            of_step[layer] = of_step.get(layer, 0) + len(ids)
    uneven = [step for step, layers in tokens.items() if len(set(layers.values())) > 1]
    if uneven and not skip_incomplete:
        layers = tokens[min(uneven)]
        got = f"{min(layers.values())} and {max(layers.values())} tokens in layers of step {min(uneven)}"
        left = len(uneven) < len(tokens)
        next_step = "give every rank's file" + ", or --skip-incomplete to leave such steps out" * left
        raise _wrong("a step's layers have other tokens", got, "as many in every layer", "input", next_step)
    for step in uneven:
        tally.drop(step)
    hotness, numbers, notes = tally.take(skip_incomplete)
    if uneven:
        notes.append(f"left out, since layers have other numbers of tokens: {counted(len(uneven), 'step')}")
    if other:
        notes.append(f"{counted(other, 'line')} of multi-token prediction left out")
    return Recording(hotness, f"{form}, {counted(len(files), 'file')}", notes, numbers)


def _choices(value: Any, key: str, experts: int, where: str) -> np.ndarray:
    """Integers [token, choice], rows of -1 for tokens without a choice."""
    ids = rectangular(value, key, where, ("token", "choice"))
    ids = ids[None] if ids.ndim == 1 else ids
    if ids.ndim != 2 or not ids.size or ids.dtype.kind not in "iu":
        got = f"shape {list(ids.shape)}, dtype {ids.dtype}"
        raise _wrong(f"{key} has the wrong form", got, "integers [token, choice], or those of one token", where)
    if wrong := wrong_choice(ids[(ids >= 0).any(axis=1)], experts):
        raise _wrong(f"{key} holds a wrong choice", *wrong, where, "correct --experts, or record again")
    return ids


def _wrong(
    what: str, got: str, expected: str, where: str, next_step: str = "correct the line, or record again"
) -> OrganizerError:
    return OrganizerError(what, got, expected, next_step, where)
