"""Load views of vllm-ascend: an array for each time that the load was gathered, of slots or of experts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from placement.errors import OrganizerError

from .counts import as_counts
from .dump_files import read_numpy
from .inputs import input_files
from .recording import Recording, counted
from .slots import to_experts
from .torch_files import read_torch

SUFFIXES = (".npy", ".pt", ".npz")
KEYS = ("moe_load", "expert_load_view")
AXES = ("stage", "layer", "device", "slot")
FORMS = "[layer, expert], [layer, device, slot] or [stage, layer, device, slot]"


def read_ascend(paths: Sequence[Path], table: np.ndarray | None, experts: int | None) -> Recording:
    """The views of all files, one after another: [layer, expert] as it is, [(stage,) layer, device, slot] folded.

    table, experts: see slots.to_experts; with either of them [layer, slot] is folded, too. Raises OrganizerError.
    """
    files = input_files(paths, SUFFIXES)
    views: list[np.ndarray] = []
    for file in files:
        view = _view(file)
        if views and view.shape[1:] != views[0].shape[1:]:
            got, expected = f"{list(view.shape[1:])}", f"{list(views[0].shape[1:])} as {files[0].name} has"
            raise OrganizerError("the view has another shape", got, expected, "give one run's files", file.name)
        views.append(view)
    whole = np.concatenate(views)
    notes = [f"{counted(len(files), 'file')} in order, {files[0].name} .. {files[-1].name}"]
    # [layer, expert] needs neither, but whoever gives one says that these are slots.
    folded = whole.ndim == 4 or table is not None or experts is not None
    experts = experts if folded else whole.shape[2]
    hotness, more = to_experts(whole.reshape(*whole.shape[:2], -1), table, experts, files[0].name)
    notes += [note for note in more if folded or "slots" not in note]
    return Recording(hotness, f"vllm-ascend expert load, {counted(len(files), 'file')}", notes)


def _view(path: Path) -> np.ndarray:
    """A file's array as [stage, layer, expert] or [stage, layer, device, slot]."""
    content = read_torch(path) if path.suffix == ".pt" else read_numpy(path, allow_pickle=False)
    if isinstance(content, dict):
        named = [key for key in KEYS if key in content] or list(content)
        if len(named) != 1:
            got, expected = ", ".join(map(str, content)) or "none", f"one array, or one called {' or '.join(KEYS)}"
            raise OrganizerError("the file does not say which array is the load", got, expected, "save it", path.name)
        content = content[named[0]]
    array = np.asarray(content) if isinstance(content, (np.ndarray, list)) else np.zeros(0)
    if array.ndim not in (2, 3, 4) or 0 in array.shape or array.dtype.kind not in "iuf":
        got = f"shape {list(array.shape)}, dtype {array.dtype}"
        next_step = "save the load as it was gathered; counts with an iteration axis are read by --from npy"
        raise OrganizerError("the load has the wrong form", got, f"integers {FORMS}", next_step, path.name)
    # Checked here, where the file is known.
    as_counts(array, path.name, AXES[-array.ndim :] if array.ndim > 2 else ("layer", "expert"), floats=True)
    return array if array.ndim == 4 else array[None]
