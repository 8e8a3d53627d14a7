"""Layers without experts: dense layers, whose rows a recorder leaves at zero."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from placement.errors import OrganizerError

from .recording import Recording, counted, ranges


def without_dense(hotness: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """hotness [iteration, layer, expert] without the layers that never have a token, and a note when there are any.

    A recording in which no layer has a token is returned as it is.
    """
    dense = dense_layers(hotness)
    if not dense.any() or dense.all():
        return hotness, []
    return hotness[:, ~dense], [dropped(dense) + _of_stages(dense)]


def kept_layers(hotness: np.ndarray) -> tuple[int, ...]:
    """The numbers in the file of the layers that without_dense keeps."""
    dense = dense_layers(hotness)
    return tuple(np.flatnonzero(~dense | dense.all()).tolist())


def dense_layers(hotness: np.ndarray) -> np.ndarray:
    """bool [layer]: no token in any iteration."""
    return ~hotness.any(axis=(0, 2))


def numbered(recording: Recording, stated: Sequence[int] | None) -> Recording:
    """The recording with the layer numbers as stated: of its layers, or of the file's before some were left out.

    Raises OrganizerError where there are other numbers of them.
    """
    if stated is None:
        return recording
    layers, known = recording.hotness.shape[1], recording.layers
    if len(stated) == layers:
        notes = recording.notes
        if known not in (None, tuple(stated)):
            notes = [*notes, f"--layers {ranges(stated)} in the place of the dump's own numbers, {ranges(known)}"]
        return recording._replace(layers=tuple(stated), notes=notes)
    if known is not None and len(stated) > max(known):
        return recording._replace(layers=tuple(stated[number] for number in known))
    got, expected = counted(len(stated), "number"), f"one for each of {counted(layers, 'layer')}"
    next_step = "state the model's number of every layer, as --layers 3-60"
    raise OrganizerError("--layers does not fit the recording", got, expected, next_step, "convert")


def dropped(dense: np.ndarray, numbers: Sequence[int] | None = None) -> str:
    """The note for layers, bool [layer], that were left out; numbers: of the layers, by default 0, 1, ..."""
    names = np.arange(len(dense)) if numbers is None else np.array(numbers)
    left_out, every = ranges(names[dense].tolist()), f"{names[0]} .. {names[-1]}"
    return f"dense layers left out: {left_out} of {every}; {_remaining(len(dense) - int(dense.sum()))}"


def _remaining(layers: int) -> str:
    return f"{counted(layers, 'layer')} {'remains' if layers == 1 else 'remain'}"


def _of_stages(dense: np.ndarray) -> str:
    """What makes the layers, bool [layer], no dense ones: a model has a few of them at its beginning, or in between."""
    if not dense[-1] and 5 * int(np.argmin(dense)) <= 2 * len(dense):
        return ""
    return (
        f"; the model's {'last' if dense[-1] else 'first'} ones among them, as where a pipeline stage's file is missing"
    )
