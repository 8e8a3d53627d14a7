"""The organizers' recipe for a correction, followed step by step as the guide words it."""

from __future__ import annotations

import re
from collections.abc import Callable

from docs import ROOT
from rehearsal.phase import LivePhase, Scores

Programs = Callable[[str], Scores | None]
Rows = list[tuple[str, float]]


def section(heading: str) -> str:
    """A section of the organizers' guide, up to the next of its level or a higher one."""
    level = heading.split()[0]
    text = (ROOT / "ORGANIZERS.md").read_text(encoding="utf-8")
    return re.split(rf"^#{{2,{len(level)}}} ", text.split(f"\n{heading}\n")[1], flags=re.MULTILINE)[0]


def board(phase: LivePhase) -> Rows:
    """Owners and their composite_score, best first."""
    return [(row.owner, row.scores["composite_score"]) for row in phase.rows() if row.scores]


def follow_the_correction(phase: LivePhase, corrected: Programs, day: int) -> dict[str, Rows]:
    """Do what each numbered step of the guide names, in the guide's order; returns the board after each step."""
    superseded: set[int] = set()

    def replace() -> None:
        phase.programs = corrected
        superseded.update(each.number for each in phase.submissions)

    def delete_doubles() -> None:
        # Of each zip of an owner one stays, that on the board if there is one.
        kept = {
            (each.owner, each.zip): each.number for each in sorted(phase.submissions, key=lambda each: each.on_board)
        }
        phase.delete({each.number for each in phase.submissions} - set(kept.values()))

    actions: dict[str, Callable[[], object]] = {
        "Announce": lambda: None,
        "Replace the programs": replace,
        "Re-run all": lambda: phase.rerun_all(day),
        "Delete the superseded": lambda: phase.delete(superseded),
        "Re-run all once more": lambda: phase.rerun_all(day),
        "Delete the doubles": delete_doubles,
        "Tell": lambda: None,
    }
    boards = {}
    for step in re.findall(r"^\d\. \*(.+?)\*", section("## Correcting a live competition"), re.MULTILINE):
        actions[step]()
        boards[step] = board(phase)
    return boards
