"""Rules for the leaderboard: the platform checks little of it, and a wrong one ranks wrongly in silence."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from bundling.reader import Bundle, Fault
from bundling.rules_competition import text
from bundling.rules_form import WHERE, shown

SUBMISSION_RULES = (
    "Add",
    "Add_And_Delete",
    "Add_And_Delete_Multiple",
    "Force_Last",
    "Force_Latest_Multiple",
    "Force_Best",
)
BOARD = f"{WHERE}, leaderboard"
MOST_DIGITS = 10


def one_board(bundle: Bundle) -> Iterator[Fault]:
    """The platform links the first leaderboard only."""
    boards = bundle.entries("leaderboards")
    if len(boards) != 1:
        yield Fault(WHERE, "has not one leaderboard", f"{len(boards)} under leaderboards", "exactly one", "correct it")
    for board in boards[:1]:
        yield from text(board, BOARD, "title", 64)
        yield from text(board, BOARD, "key", 36)
        rule = board.get("submission_rule")
        if rule not in SUBMISSION_RULES:
            expected = f"one of {', '.join(SUBMISSION_RULES)}"
            yield Fault(BOARD, "submission_rule is unknown", shown(rule), expected, "write Force_Best")
        elif rule != "Force_Best":
            expected = "Force_Best, as the rules say"
            yield Fault(BOARD, "submission_rule keeps another submission", shown(rule), expected, "correct it")


def columns(bundle: Bundle) -> Iterator[Fault]:
    """Columns have titles, and keys and indexes of their own; none is computed by the platform."""
    entries = board_columns(bundle)
    for key in ("index", "key"):
        values = [shown(entry.get(key)) for entry in entries]
        if len(set(values)) != len(values):
            yield Fault(f"{BOARD}, columns", f"{key} is not unique", ", ".join(values), "each once", "correct it")
    for entry in entries:
        where = f"{BOARD}, column {entry.get('key')!r}"
        yield from text(entry, where, "title", 36)
        yield from text(entry, where, "key", 36)
        if type(entry.get("index")) is not int:
            yield Fault(where, "has no index", shown(entry.get("index")), "an integer", "correct it")
        precision = entry.get("precision", 2)
        if type(precision) is not int or not 0 <= precision <= MOST_DIGITS:
            yield Fault(
                where, "precision is not sensible", shown(precision), f"0 to {MOST_DIGITS} digits", "correct it"
            )
        if entry.get("hidden", False) is not False:
            yield Fault(where, "is hidden", shown(entry["hidden"]), "a column that readers see", "remove hidden")
        if {"computation", "computation_indexes"} & set(entry):
            expected = "none: the scoring program writes every column"
            yield Fault(where, "has a computation", shown(entry.get("computation")), expected, "remove it")


def scorer_columns(bundle: Bundle) -> Iterator[Fault]:
    """The columns are those that the scoring program writes: a missing one shows n/a, and may rank first."""
    board = [entry.get("key") for entry in board_columns(bundle)]
    for phase in bundle.phases:
        written = written_columns(phase.scoring.get("scores/modeled_runtime.py", b""))
        if written != board:
            part = phase.parts.get("scoring_program", phase.name)
            expected = f"{', '.join(written)}, which its modeled_runtime.py writes" if written else "its COLUMNS"
            got = ", ".join(map(str, board)) or "no columns"
            yield Fault(BOARD, f"columns are not those of {part}", got, expected, "correct the columns")


def ranking(bundle: Bundle) -> Iterator[Fault]:
    """The first column that the scorer writes ranks, the highest first; in all others less is better."""
    entries = board_columns(bundle)
    primary = written_primary(bundle)
    for board in bundle.entries("leaderboards")[:1]:
        index = next((entry.get("index") for entry in entries if entry.get("key") == primary), None)
        # `True` equals 1 and an absent index equals an absent key; neither may pass.
        if type(board.get("primary_index")) is not int or board["primary_index"] != index:
            expected = f"{shown(index)}, the index of {primary}"
            got = shown(board.get("primary_index"))
            yield Fault(BOARD, "primary_index ranks another column", got, expected, "correct it")
    for entry in entries:
        wanted = "desc" if entry.get("key") == primary else "asc"
        if entry.get("sorting", "desc") != wanted:
            where = f"{BOARD}, column {entry.get('key')!r}"
            yield Fault(
                where, "is sorted the wrong way", shown(entry.get("sorting", "desc")), wanted, "correct sorting"
            )


def board_columns(bundle: Bundle) -> list[dict[str, Any]]:
    """The columns of the first leaderboard."""
    boards = bundle.entries("leaderboards")
    return (boards[0].get("columns") or []) if boards else []


def written_columns(source: bytes) -> list[str]:
    """The value of COLUMNS in the scoring program's source, which is not run; empty when there is none."""
    try:
        for node in ast.parse(source).body:
            if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["COLUMNS"]:
                return list(ast.literal_eval(node.value))
    except (SyntaxError, ValueError, TypeError):
        pass
    return []


def written_primary(bundle: Bundle) -> str:
    """The column that ranks: the first that the scorer writes."""
    written = [written_columns(phase.scoring.get("scores/modeled_runtime.py", b"")) for phase in bundle.phases]
    return next((names[0] for names in written if names), "composite_score")


RULES = (one_board, columns, scorer_columns, ranking)
