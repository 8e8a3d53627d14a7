"""MindIE's expert hotspot files: CSV of each rank, a block of rows [layer, slot of the device] at every eighth pass."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from placement.errors import OrganizerError

from .dump_files import read_json
from .inputs import input_files
from .rank_blocks import side_by_side
from .recording import Recording, counted, ranges
from .slots import to_experts
from .text_table import whole_table

CONFIG = "model_gen_config.json"
NAME = re.compile(r"(prefill|decode)_(\d+)\.csv")


def read_mindie(
    paths: Sequence[Path], table: np.ndarray | None, experts: int | None, layers: int | None, skip_incomplete: bool
) -> Recording:
    """The blocks of all ranks' files of one phase, side by side.

    layers: rows of a block, where no model_gen_config.json tells; table, experts: see slots.to_experts. Raises
    OrganizerError.
    """
    files = {file: match for file in input_files(paths, (".csv",)) if (match := NAME.fullmatch(file.name))}
    if not files:
        raise _wrong("there is no hotspot file", "none of the name", "prefill_RANK.csv or decode_RANK.csv", "input")
    phases = sorted({match[1] for match in files.values()})
    if len(phases) > 1:
        raise _wrong("the files are of two phases", " and ".join(phases), "one of them", "input", "name one folder")
    first = next(iter(files))
    config = _config(first.parent / CONFIG)
    rows = config.get("num_moe_layers", layers)
    if rows is None:
        next_step = f"put {CONFIG} beside the files, or give --layers, as 3-60"
        raise _wrong("the number of layers is not known", f"no {CONFIG}", "rows of a block", first.name, next_step)
    shared = config.get("num_dangling_shared_experts", 0)
    blocks: dict[int, dict[int, np.ndarray]] = {}
    floats: dict[str, None] = {}
    for file, match in files.items():
        if int(match[2]) in blocks:
            raise _wrong("a rank is there twice", f"{file.name} again", "a file for each rank", file.name)
        found, told = _blocks(file, rows)
        blocks[int(match[2])] = dict(enumerate(found))
        floats |= dict.fromkeys(told)
    _check_shared(blocks, shared)
    whole, notes = side_by_side(blocks, skip_incomplete, "block")
    if shared:
        # Devices of shared experts come first, with a slot each.
        whole = whole[:, :, shared:]
        first_ranks = "rank 0" if shared == 1 else f"ranks 0 .. {shared - 1}"
        notes.append(f"{first_ranks} left out: devices of shared experts alone")
    if config.get("eplb_expert_map_file") and table is None:
        got, expected = f"{CONFIG} names {config['eplb_expert_map_file']}", "that file, with --map"
        raise _wrong("experts were placed while recording", got, expected, first.name, "give --map FILE")
    known = config.get("num_of_experts", experts)
    if experts not in (None, known):
        got, expected = f"--experts {experts}", f"{known}, the num_of_experts of {CONFIG}"
        raise _wrong("--experts is not the model's", got, expected, "convert", "leave --experts out")
    hotness, more = to_experts(whole, table, known, f"{phases[0]} files")
    form = f"MindIE expert hotspots of {phases[0]}, {counted(len(files), 'file')}"
    return Recording(hotness, form, [*notes, *floats, *more])


def _blocks(path: Path, rows: int) -> tuple[np.ndarray, list[str]]:
    """int64 [block, layer, slot] of a rank's file, and notes."""
    try:
        values, notes = whole_table(path, delimiter=",")
    except ValueError as error:
        raise _wrong("the file has the wrong form", str(error), "whole numbers", path.name) from error
    if not len(values) or len(values) % rows:
        got, expected = counted(len(values), "row"), f"blocks of {rows}, one row for each layer"
        raise _wrong(
            "the rows are no whole blocks", got, expected, path.name, "copy the file again, or correct --layers"
        )
    return values.reshape(-1, rows, values.shape[1]), notes


def _check_shared(blocks: dict[int, dict[int, np.ndarray]], shared: int) -> None:
    """Raise OrganizerError unless the first `shared` ranks have one column each, and another rank is there."""
    for rank in sorted(set(blocks) & set(range(shared))):
        if (columns := next(iter(blocks[rank].values())).shape[1]) > 1:
            got, expected = f"{columns} columns of rank {rank}", "one: the shared expert's"
            next_step = f"correct num_dangling_shared_experts {shared} in {CONFIG}"
            raise _wrong("a device of shared experts has other experts", got, expected, "input", next_step)
    if len(blocks) <= shared:
        got = f"ranks {ranges(sorted(blocks))}, and num_dangling_shared_experts {shared} in {CONFIG}"
        raise _wrong("no device of routed experts is left", got, "a rank behind those", "input")


def _config(path: Path) -> dict[str, Any]:
    """What model_gen_config.json says, nothing where there is none. Raises OrganizerError."""
    if not path.is_file():
        return {}
    content = read_json(path)
    for key, least in (("num_moe_layers", 1), ("num_of_experts", 1), ("num_dangling_shared_experts", 0)):
        value = content.get(key, least) if isinstance(content, dict) else None
        if type(value) is not int or value < least:
            got, expected = f"{key} {value!r}", f"an integer from {least}"
            raise _wrong("the model's description has the wrong form", got, expected, path.name)
    return content


def _wrong(
    what: str, got: str, expected: str, where: str, next_step: str = "give the folder of one run, as it was written"
) -> OrganizerError:
    return OrganizerError(what, got, expected, next_step, where)
