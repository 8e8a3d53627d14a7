"""Lists of passes, each an iteration: JSON as in routed_steps, or JSON lines that tell their step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from placement.errors import OrganizerError

from .choices import wrong_choice
from .dump_files import read_json
from .file_errors import kind_of
from .inputs import input_files
from .recording import Recording, counted, ranges
from .routed_steps import pass_of
from .step_lines import read_step_lines


def read_steps(paths: Sequence[Path], experts: int, skip_incomplete: bool) -> Recording:
    """The passes of all files, one file after the other; layers that are null in every pass are left out.

    experts: of the model; skip_incomplete: see step_lines, for JSON lines alone. Raises OrganizerError.
    """
    files = input_files(paths, (".jsonl", ".json"))
    if len({file.suffix for file in files}) > 1:
        raise _wrong("JSON lines lie among other files", "both", "files of one form", "input", "convert them apart")
    if files[0].suffix == ".jsonl":
        return read_step_lines(files, experts, skip_incomplete, "choices by step")
    counts: list[list[np.ndarray]] = []
    routed: list[int] = []
    every: set[int] = set()
    width: int | None = None
    for file in files:
        content = read_json(file)
        if not isinstance(content, list) or not content:
            raise _wrong("the file holds no passes", kind_of(content), "a list of passes", file.name)
        for index, step in enumerate(content):
            if step == {}:
                continue
            where = f"{file.name}, pass {index}"
            layers = pass_of(step, where)
            every |= layers.keys()
            some = [layer for layer, ids in layers.items() if ids is not None]
            routed = routed or some
            if some != routed:
                got, expected = f"layers {ranges(some)}", f"{ranges(routed)} as in the first pass"
                raise _wrong("a pass has other layers", got, expected, where)
            for layer in some:
                ids = layers[layer]
                width = width or ids.shape[1]
                if ids.shape[1] != width:
                    got, expected = counted(ids.shape[1], "expert"), f"{width} of each token, as before"
                    raise _wrong("a token has another number of experts", got, expected, f"{where}, layer {layer}")
            counts.append([_counted(layers[layer], experts, f"{where}, layer {layer}") for layer in some])
    if not counts:
        raise _wrong("the file holds no passes", "empty ones", "a list of passes", files[0].name)
    notes = [f"{counted(len(counts), 'pass')} in order, each an iteration"]
    if dense := sorted(every - set(routed)):
        notes.append(f"layers {ranges(dense)} are null in every pass and left out")
    form = f"passes of choices, {counted(len(files), 'file')}"
    return Recording(np.array(counts, np.int32), form, notes, tuple(routed))


def _counted(ids: np.ndarray | None, experts: int, where: str) -> np.ndarray:
    """Tokens of each expert, int64 [expert]."""
    assert ids is not None
    if wrong := wrong_choice(ids, experts):
        raise _wrong("a pass holds a wrong choice", *wrong, where, "correct --experts, or export the file again")
    return np.bincount(ids.ravel(), minlength=experts)


def _wrong(what: str, got: str, expected: str, where: str, next_step: str = "export the file again") -> OrganizerError:
    return OrganizerError(what, got, expected, next_step, where)
