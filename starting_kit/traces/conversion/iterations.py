"""Changes of a recording's iterations that a person can ask for: differences, empty ones left out, sums."""

from __future__ import annotations

import numpy as np

from placement.errors import OrganizerError

from .recording import Recording, counted, ranges

# Of the steps of running counters, so many per hundred may be restarts.
RESTARTS = 25


def restarts(hotness: np.ndarray) -> np.ndarray | None:
    """Steps in which running counters began again: bool [iteration - 1]; None where the counts are no such counters.

    hotness: int32 [iteration, layer, expert]. Counters of tokens never fall, and some rise, in every step but those of
    a restart, after which less than half of the total is left; counts that never change are none.
    """
    if len(hotness) < 3:
        return None
    allowed = len(hotness) * RESTARTS // 100
    totals = hotness.sum(axis=(1, 2), dtype=np.int64)
    again = np.zeros(len(hotness) - 1, bool)
    for step in range(len(again)):
        if (hotness[step + 1] < hotness[step]).any():
            again[step] = True
            if again.sum() > allowed or 2 * totals[step + 1] >= totals[step]:
                return None
    return again if (totals[1:] > totals[:-1]).any() else None


def differences(recording: Recording) -> Recording:
    """Running counters as the tokens between one row and the next; the first row only says where they began.

    A step in which the counters began again is left out. Raises OrganizerError for what are no running counters.
    """
    hotness = recording.hotness
    again = restarts(hotness)
    if again is None:
        fallen = [step + 1 for step in range(len(hotness) - 1) if (hotness[step + 1] < hotness[step]).any()]
        got = f"a count falls in {counted(len(fallen), 'iteration')}, the first {fallen[0]}" if fallen else "no rise"
        expected, next_step = "counts that never fall, as running totals", "leave --differences out"
        raise OrganizerError("the counts are not running totals", got, expected, next_step, "convert")
    notes = [
        f"--differences: each iteration is a row minus the row before, {counted(len(again), 'iteration')} of "
        f"{counted(len(hotness), 'row')}"
    ]
    if again.any():
        notes.append(
            f"iterations left out, where the running totals began again: {ranges(np.flatnonzero(again).tolist())}"
        )
    steps = np.flatnonzero(~again)
    result = np.empty((len(steps), *hotness.shape[1:]), np.int32)
    for row, step in enumerate(steps):
        np.subtract(hotness[step + 1], hotness[step], out=result[row])
    return recording._replace(hotness=result, notes=[*recording.notes, *notes])


def without_empty(recording: Recording) -> Recording:
    """The iterations that have a token, and a note with the numbers of the others."""
    filled = recording.hotness.any(axis=(1, 2))
    if filled.all():
        return recording._replace(notes=[*recording.notes, "--drop-empty: every iteration has tokens, none left out"])
    left_out = np.flatnonzero(~filled).tolist()
    note = f"{counted(len(left_out), 'iteration')} without a token left out: {shortened(ranges(left_out))}"
    return recording._replace(hotness=recording.hotness[filled], notes=[*recording.notes, note])


def divided(recording: Recording, divisor: int) -> Recording:
    """Every count divided, for recordings that count each token several times.

    Raises OrganizerError where a count is no multiple of the divisor.
    """
    rest = recording.hotness % divisor != 0
    if rest.any():
        place = tuple(np.argwhere(rest)[0])
        got = f"{recording.hotness[place]} at iteration {place[0]}, layer {place[1]}, expert {place[2]} (from 0)"
        next_step = "correct --divide, or leave it out"
        raise OrganizerError("a count cannot be divided", got, f"multiples of {divisor}", next_step, "convert")
    note = f"--divide {divisor}: every recorded count divided by {divisor}"
    return recording._replace(hotness=recording.hotness // np.int32(divisor), notes=[*recording.notes, note])


def summed(recording: Recording, several: int) -> Recording:
    """Each `several` iterations in a row added up to one; the rest at the end is left out.

    Raises OrganizerError where fewer iterations are there, and for sums above 2^31 - 1.
    """
    hotness = recording.hotness
    blocks, rest = divmod(len(hotness), several)
    if not blocks:
        got, expected = counted(len(hotness), "iteration"), f"at least {several}, as --sum says"
        raise OrganizerError("the recording is too short", got, expected, "choose a smaller --sum", "convert")
    result = np.empty((blocks, *hotness.shape[1:]), np.int32)
    for block in range(blocks):
        sums = hotness[block * several : (block + 1) * several].sum(axis=0, dtype=np.int64)
        if sums.max() > np.iinfo(np.int32).max:
            got, expected = f"{sums.max()} in iteration {block}", "0 .. 2147483647"
            raise OrganizerError("a sum is out of range", got, expected, "choose a smaller --sum", "convert")
        result[block] = sums
    note = f"--sum {several}: each iteration is the sum of {several} recorded ones"
    if rest:
        note += f"; the last {rest} left out"
    return recording._replace(hotness=result, notes=[*recording.notes, note])


def shortened(text: str, longest: int = 80) -> str:
    """The beginning of a list in words, where it is long."""
    return text if len(text) <= longest else f"{text[:longest].rpartition(',')[0]}, ..."
