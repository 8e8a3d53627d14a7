"""The expert-load.json of ADRS and vLLM: one element of load_history for each step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from placement.errors import OrganizerError

from .counts import as_array, as_counts, float_note
from .dump_files import key_of, read_dump
from .file_errors import kind_of
from .inputs import one_file
from .layers import kept_layers, without_dense
from .recording import Recording, counted


def read_adrs(paths: Sequence[Path]) -> Recording:
    """The steps' logical_expert_load [layer, expert], dense layers left out. Raises OrganizerError."""
    path = one_file(paths, (".json",))
    history = key_of(read_dump(path, allow_pickle=False), "load_history", path.name)
    if not isinstance(history, list) or not history:
        got = "no element" if isinstance(history, list) else kind_of(history)
        raise _wrong("load_history has the wrong form", got, "a list of steps", path.name)
    hotness: np.ndarray | None = None
    floats: list[str] = []
    for index, step in enumerate(history):
        place = f"{path.name}, load_history[{index}]"
        if not isinstance(step, dict):
            raise _wrong("a step has the wrong form", kind_of(step), "a mapping", place)
        load = as_array(key_of(step, "logical_expert_load", place), "logical_expert_load", place, ("layer", "expert"))
        if hotness is None:
            hotness = np.empty((len(history), *load.shape), np.int32)
        if load.shape != hotness.shape[1:]:
            expected = f"{list(hotness.shape[1:])} as in the steps before"
            raise _wrong("the step has another shape", f"[layer, expert] {list(load.shape)}", expected, place)
        hotness[index] = as_counts(load, place, ("layer", "expert"), floats=True)
        floats += [note for note in float_note(load.dtype, int(load.max())) if note not in floats]
        history[index] = None  # frees the step: one copy is enough
    layers = kept_layers(hotness)
    hotness, notes = without_dense(hotness)
    form = f"ADRS load_history, {counted(1, 'file')}"
    return Recording(hotness, form, [*floats, *notes], layers if notes else None)


def _wrong(what: str, got: str, expected: str, where: str) -> OrganizerError:
    next_step = "compare the file with the form in starting_kit/traces/conversion/README.md"
    return OrganizerError(what, got, expected, next_step, where)
