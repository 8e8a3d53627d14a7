"""Ring buffers: rows as they lie in memory, put back into the order in which they were written."""

from __future__ import annotations

import numpy as np

from placement.errors import OrganizerError

from .recording import counted, ranges

UNLIMITED = "--expert-distribution-recorder-buffer-size -1"


def unroll(filled: np.ndarray, oldest: int | None, as_is: bool, where: str) -> tuple[np.ndarray, str]:
    """Indices of a ring's rows, the oldest first and rows that were never written left out; and what was done.

    filled: bool [row], the rows that hold a token; oldest: index of the oldest row, when it is known; as_is: the
    file's order is the order of time.
    A ring that was not yet full is put in order without being told, when its empty rows are one run at its
    beginning or its end. Raises OrganizerError when the order cannot be known.
    """
    rows = len(filled)
    if not filled.any():
        raise OrganizerError(
            "no row holds a token", f"{counted(rows, 'row')} of zeros", "a recording", "record again", where
        )
    if oldest is not None:
        return _from_oldest(filled, oldest, where)
    if not as_is:
        _refuse_unknown_order(filled, where)
    written = np.flatnonzero(filled)
    order = np.arange(written[0], written[-1] + 1)
    note = f"{where}: rows in the file's order"
    if as_is:
        note += f", as --as-is says: right for {UNLIMITED} or a buffer that was never full"
    if len(order) < rows:
        note += f"; empty rows, taken as not yet written, left out: {ranges(_others(order, rows))}"
    return order, note


def _from_oldest(filled: np.ndarray, oldest: int, where: str) -> tuple[np.ndarray, str]:
    rows = len(filled)
    if not 0 <= oldest < rows:
        raise OrganizerError("--oldest is no row", str(oldest), f"0 .. {rows - 1}", "correct --oldest", where)
    if not filled[oldest]:
        expected = "a row that holds a token"
        raise OrganizerError("the row of --oldest is empty", f"row {oldest}", expected, "correct --oldest", where)
    order = (oldest + np.arange(rows)) % rows
    order = order[: np.flatnonzero(filled[order])[-1] + 1]
    note = f"{where}: rows in order from row {oldest} on, as --oldest says"
    if len(order) < rows:
        note += f"; empty rows, taken as not yet written, left out: {ranges(_others(order, rows))}"
    return order, note


def _refuse_unknown_order(filled: np.ndarray, where: str) -> None:
    if filled.all():
        raise OrganizerError(
            "the ring buffer is full, so the file does not say which row is the oldest",
            f"{counted(len(filled), 'row')}, all written",
            "a row that the order begins with",
            "give --oldest N (passes recorded since the server's start, modulo the rows), or --as-is if the buffer was"
            f" of unlimited size ({UNLIMITED}) or never wrapped; see starting_kit/traces/conversion/README.md",
            where,
        )
    # A run begins where a written row is followed, around the ring, by an empty one.
    runs = int((filled & ~np.roll(filled, -1)).sum())
    if runs == 1 and not (filled[0] and filled[-1]):
        return
    begins = np.flatnonzero(filled & ~np.roll(filled, 1))
    raise OrganizerError(
        "empty rows lie between written ones, so the file does not say which row is the oldest",
        f"rows {ranges(np.flatnonzero(~filled).tolist())} of {len(filled)} are empty",
        "one run of empty rows at the beginning or the end",
        f"give --oldest {' or '.join(map(str, begins))} if the rows before it were not yet written, or --as-is if"
        " they were passes without a token",
        where,
    )


def _others(order: np.ndarray, rows: int) -> list[int]:
    return sorted(set(range(rows)) - set(order.tolist()))
