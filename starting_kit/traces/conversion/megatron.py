"""Megatron-LM's JSON lines: tokens of each rank's own experts by microbatch, and the choices of its RouterTracer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from placement.errors import OrganizerError

from .counts import rectangular
from .inputs import input_files
from .json_lines import objects_in, whole_number
from .recording import Recording, counted, ranges
from .step_lines import read_step_lines
from .tally import Tally

LOADS = "tpe"
RANK = re.compile(r"rank(\d+)\.jsonl")
TRACE = re.compile(r"router_trace_rank\d+\.jsonl")


def read_megatron(paths: Sequence[Path], experts: int, skip_incomplete: bool) -> Recording:
    """The loads of tokens_per_expert, a microbatch an iteration, or choices of RouterTracer, a step an iteration.

    experts: of the model. Layers of multi-token prediction are left out. Raises OrganizerError.
    """
    files = input_files(paths, (".jsonl",))
    first = next((fields for file in files for fields, _ in objects_in(file)), {})
    if LOADS not in first:
        return read_step_lines(files, experts, skip_incomplete, "Megatron-LM router trace")
    tally, other = Tally("microbatch"), 0
    # The ranks that hold each part of a layer's experts.
    groups: dict[int, dict[int, set[int]]] = {}
    parts = 0
    for file in files:
        match = RANK.fullmatch(file.name)
        if not match:
            raise _wrong("the file's name states no rank", file.name, "rank0.jsonl, rank1.jsonl, ...", file.name)
        rank = int(match[1])
        for fields, where in objects_in(file):
            if fields.get("block", "decoder") != "decoder":
                other += 1
                continue
            iteration, layer, loads = _record(fields, where)
            local = loads.shape[1]
            if local > experts or experts % local or parts not in (0, experts // local):
                got, expected = f"{local} experts of a rank", f"the same part of {experts} on every rank"
                raise _wrong("the ranks' experts do not fit --experts", got, expected, where, "correct --experts")
            parts = experts // local
            part = rank % parts
            groups.setdefault(layer, {}).setdefault(part, set()).add(rank)
            for index, counts in enumerate(loads):
                whole = np.zeros(experts, loads.dtype)
                whole[part * local : (part + 1) * local] = counts
                tally.add((iteration, index), layer, rank, whole, where)
    if not groups:
        raise _wrong("the files hold no loads of the decoder", f"{counted(other, 'line')}", "decoder", files[0].name)
    hotness, layers, notes = tally.take(skip_incomplete)
    for layer in layers:
        _check_parts(groups[layer], parts, layer)
    notes.append(
        f"rank R taken to hold part R modulo {parts} of the experts, as without tensor parallelism inside experts"
    )
    if other:
        notes.append(f"{counted(other, 'line')} of multi-token prediction left out")
    return Recording(hotness, f"Megatron-LM tokens per expert, {counted(len(files), 'file')}", notes, layers)


def _check_parts(holders: dict[int, set[int]], parts: int, layer: int) -> None:
    """Raise OrganizerError where a part of a layer's experts has no rank, or fewer of them than another part."""
    next_step = "give every rank's file, or correct --experts"
    if missing := sorted(set(range(parts)) - holders.keys()):
        got = f"no part {ranges(missing)} of {parts} in layer {layer}"
        raise _wrong("experts are missing", got, "every rank's file", "input", next_step)
    few, many = (choose(holders, key=lambda part: len(holders[part])) for choose in (min, max))
    if len(holders[few]) < len(holders[many]):
        of_many, of_few = (counted(len(holders[part]), "rank") for part in (many, few))
        got = f"part {many} of {parts} by {of_many} in layer {layer}, part {few} by {of_few}"
        raise _wrong("a rank's file is missing", got, "each part by as many ranks", "input", next_step)


def _record(fields: dict[str, Any], where: str) -> tuple[int, int, np.ndarray]:
    """Iteration, layer, and the loads, integers [microbatch, expert of the rank], of a line."""
    missing = [key for key in ("iter", "layer", LOADS) if key not in fields]
    if missing:
        raise _wrong("the line has other keys", ", ".join(fields) or "none", f"iter, layer and {LOADS}", where)
    loads = rectangular(fields[LOADS], LOADS, where, ("microbatch", "expert"))
    if loads.ndim != 2 or not loads.size or loads.dtype.kind not in "iuf":
        got = f"shape {list(loads.shape)}, dtype {loads.dtype}"
        raise _wrong(f"{LOADS} has the wrong form", got, "integers [microbatch, expert of the rank]", where)
    return whole_number(fields, "iter", where), whole_number(fields, "layer", where), loads


def _wrong(
    what: str, got: str, expected: str, where: str, next_step: str = "give the files of one run, as they were written"
) -> OrganizerError:
    return OrganizerError(what, got, expected, next_step, where)
