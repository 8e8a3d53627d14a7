"""Arrays: hotness as integers, or whole floats, with its three axes in any order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from placement.errors import OrganizerError

from .axis_order import Size, check_order
from .counts import AXES, as_array, float_note, ordered_counts
from .file_errors import pickled, unreadable
from .inputs import one_file
from .layers import dense_layers, kept_layers, without_dense
from .recording import Recording, counted, ranges

KEY, SUFFIXES = "hotness", (".npy", ".npz")


def read_array(paths: Sequence[Path], axes: Sequence[str], drop_dense: bool, size: Size | None) -> Recording:
    """The one array of an .npy or .npz file, its axes put in the order [iteration, layer, expert].

    axes: the file's order; drop_dense: leave out layers that never have a token; size: the model's, where it is known.
    Raises OrganizerError, also where another order of the axes is proven.
    """
    path = one_file(paths, SUFFIXES)
    hotness, dtype = read_counts(path, axes)
    notes = check_order(hotness, axes, size, path.name)
    notes += float_note(dtype, int(hotness.max()))
    # A file that has the dense layers, too, has every layer of the model.
    dense = dense_layers(hotness)
    layers = tuple(range(len(dense))) if dense.any() else None
    if drop_dense:
        layers = kept_layers(hotness) if dense.any() else None
        hotness, dropped = without_dense(hotness)
        notes += dropped or ["--drop-dense: every layer has tokens, none left out"]
    elif dense.any():
        idle = ranges(np.flatnonzero(dense).tolist())
        notes.append(f"layers {idle} never have a token and are kept; --drop-dense leaves them out")
    return Recording(hotness, f"array [{', '.join(axes)}], {counted(1, 'file')}", notes, layers)


def read_counts(path: Path, axes: Sequence[str] = AXES) -> tuple[np.ndarray, np.dtype]:
    """The counts of a file's one array, int32 [iteration, layer, expert], and the dtype that they are stored in.

    axes: the file's order. Floats are taken when all are whole. Raises OrganizerError.
    """
    stored = as_array(load_array(path), "the array", path.name, axes)
    stored = stored.transpose([axes.index(axis) for axis in AXES])
    return ordered_counts(stored, np.arange(len(stored)), path.name, floats=True), stored.dtype


def load_array(path: Path) -> np.ndarray:
    """The one array of an .npy, which is mapped, or of an .npz, or its array `hotness`. Raises OrganizerError."""
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded as archive:
            names = archive.files
            if len(names) == 1 or KEY in names:
                return archive[KEY if KEY in names else names[0]]
    except Exception as error:
        # numpy and zipfile raise nearly anything on a damaged file.
        objects = "Object arrays" in str(error) or "Python objects" in str(error)
        raise (pickled(path, may_be_allowed=False) if objects else unreadable(path, error)) from error
    raise OrganizerError(
        "the file does not say which array is the hotness",
        got=f"{len(names)} arrays: {', '.join(names)}" if names else "no array",
        expected=f"one array, or one called {KEY}",
        next_step="export that array alone",
        where=path.name,
    )
