"""omni-infer's activation dumps: counts of slots in a text file for each step and rank, or in lines of the log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from placement.errors import OrganizerError

from .inputs import input_files
from .rank_blocks import side_by_side
from .recording import Recording, counted
from .slots import to_experts
from .text_table import whole_table

SUFFIXES = (".txt", ".log")
NAME = re.compile(r"activation_counts_recordstep_(\d+)_rank_(\d+)\.txt")
LINE = re.compile(
    r"\[dump activation\] (prefill|decode) step (\d+) in rank (\d+) for layer (\d+) get (\d+) experts data: ([\d\t ]+)"
)
Blocks = dict[int, dict[int, np.ndarray]]


def read_omni(paths: Sequence[Path], table: np.ndarray | None, experts: int | None, skip_incomplete: bool) -> Recording:
    """The counts of all ranks in order of their steps. table, experts: see slots.to_experts. Raises OrganizerError."""
    files = input_files(paths, SUFFIXES)
    logs = [file for file in files if file.suffix == ".log"]
    dumps = {file: match for file in files if (match := NAME.fullmatch(file.name))}
    if bool(logs) == bool(dumps):
        got = "logs and dumps" if logs else f"{files[0].name} the first"
        raise _wrong("the files are of no one form", got, "activation_counts_recordstep_N_rank_R.txt, or .log", "input")
    if dumps:
        (blocks, floats), layers = _dumped(dumps), None
    else:
        (blocks, layers), floats = _logged(logs), []
    whole, notes = side_by_side(blocks, skip_incomplete, "step")
    hotness, more = to_experts(whole, table, experts, files[0].name)
    form = f"omni-infer activation counts, {counted(len(logs or dumps), 'file')}"
    return Recording(hotness, form, [*notes, *floats, *more], layers)


def _dumped(files: dict[Path, re.Match[str]]) -> tuple[Blocks, list[str]]:
    """Of each rank and step, int64 [layer, slot], and notes."""
    blocks: Blocks = {}
    floats: dict[str, None] = {}
    for file, match in files.items():
        try:
            # A tab ends every line, so columns cannot be cut at tabs alone.
            values, told = whole_table(file)
        except ValueError as error:
            raise _wrong("the file has the wrong form", str(error), "whole numbers with tabs", file.name) from error
        if not values.size:
            raise _wrong("the file is empty", "no row", "a row for each layer", file.name)
        floats |= dict.fromkeys(told)
        steps = blocks.setdefault(int(match[2]), {})
        if int(match[1]) in steps:
            got = f"step {match[1]} of rank {match[2]} again"
            raise _wrong("a step is there twice", got, "each once", file.name)
        steps[int(match[1])] = values
    return blocks, list(floats)


def _logged(files: Sequence[Path]) -> tuple[Blocks, tuple[int, ...]]:
    """The same of a log's lines, and the layers' numbers."""
    rows: dict[int, dict[int, dict[int, list[int]]]] = {}
    phases: set[str] = set()
    for file in files:
        with open(file, encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                if not (match := LINE.search(line)):
                    continue
                where = f"{file.name}, line {number}"
                step, rank, layer, size = (int(match[group]) for group in (2, 3, 4, 5))
                counts = [int(word) for word in match[6].split()]
                if len(counts) != size:
                    raise _wrong("a line is cut off", f"{len(counts)} counts", f"{size}, as the line says", where)
                layers = rows.setdefault(rank, {}).setdefault(step, {})
                if layer in layers:
                    got = f"step {step}, layer {layer} of rank {rank} again"
                    raise _wrong("a record is there twice", got, "each once", where)
                layers[layer] = counts
                phases.add(match[1])
    if not rows:
        raise _wrong("the log holds no counts", "no such line", "lines with [dump activation]", files[0].name)
    if len(phases) > 1:
        got = " and ".join(sorted(phases))
        raise _wrong("the log is of two phases", got, "one of them", files[0].name, "keep the lines of one phase")
    numbers = tuple(sorted({layer for steps in rows.values() for layers in steps.values() for layer in layers}))
    # A step that was cut off lacks layers: it counts as not recorded.
    return {
        rank: {
            step: np.array([layers[number] for number in numbers], np.int64)
            for step, layers in steps.items()
            if len(layers) == len(numbers) and len({len(counts) for counts in layers.values()}) == 1
        }
        for rank, steps in rows.items()
    }, numbers


def _wrong(
    what: str, got: str, expected: str, where: str, next_step: str = "give the files of one run, as they were written"
) -> OrganizerError:
    return OrganizerError(what, got, expected, next_step, where)
