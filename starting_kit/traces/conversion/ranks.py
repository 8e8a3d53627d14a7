"""Ranks of a recording, whose files are given one by one."""

from __future__ import annotations

from collections.abc import Sequence

from placement.errors import OrganizerError

from .recording import ranges


def refuse_absent(ranks: Sequence[int]) -> None:
    """Raise OrganizerError for a rank below the last of these, ascending ones, that is not among them."""
    if ranks and len(ranks) <= ranks[-1]:
        # A damaged number must not be a size.
        absent = next(rank for rank in range(len(ranks)) if rank != ranks[rank])
        got, expected = f"records of ranks {ranges(ranks)}", f"ranks 0 .. {ranks[-1]}"
        raise OrganizerError("a rank's file is missing", got, expected, f"give the file of rank {absent} too", "input")
