"""Reads results and reference, and refuses what cannot be compared."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

Row = dict[str, Any]
STATUSES = ("scored", "failed", "refused", "data_unavailable")
CASE_STATUSES = ("ok", "crashed", "timeout", "out_of_memory", "invalid_answer")
COST = ("balanced_compute_seconds", "expert_bytes", "bandwidth_bytes_per_second")


class FileError(Exception):
    """A file of the organizer's, or of the ingestion program, that cannot be scored."""

    def __init__(self, file: str, what: str, got: Any, expected: str, next_step: str) -> None:
        super().__init__(f"{file}: {what}. Got: {got}. Expected: {expected}. Next: {next_step}.")


class BrokenResults(FileError):
    """The results are broken or belong to another reference."""


class BrokenReference(FileError):
    """The reference itself is broken."""


def read_reference(path: Path) -> dict[str, Any]:
    """Read ds_eplb.json. Raises BrokenReference unless its cases are unique, finite, and moved something."""

    def wrong(what: str, got: Any, expected: str) -> BrokenReference:
        return BrokenReference(path.name, what, got, expected, "write the reference again with tools/reference.py")

    reference = _read(path, wrong)
    for row in _rows(reference, wrong):
        _check_numbers(row, wrong)
        if row["transmit_amount"] == 0:
            raise wrong(f"{case_name(row)} moves nothing", 0, "a transmit_amount above 0")
    return reference


def read_results(path: Path) -> dict[str, Any]:
    """Read results.json. Raises BrokenResults unless its form is right; failed cases are allowed."""

    def wrong(what: str, got: Any, expected: str) -> BrokenResults:
        return BrokenResults(path.name, what, got, expected, "run the ingestion program again")

    results = _read(path, wrong)
    if results.get("status") not in STATUSES:
        raise wrong("unknown status", results.get("status"), f"one of {', '.join(STATUSES)}")
    if results["status"] in ("refused", "data_unavailable"):
        return results | {"cases": []}
    for row in _rows(results, wrong):
        if row.get("status") not in CASE_STATUSES:
            raise wrong(f"{case_name(row)} has an unknown status", row.get("status"), ", ".join(CASE_STATUSES))
        if row["status"] == "ok":
            _check_numbers(row, wrong)
    return results


def match(results: dict[str, Any], reference: dict[str, Any]) -> list[tuple[Row, Row]]:
    """Pairs (row, reference row) in the reference's order, which is the grid's.

    Raises BrokenResults when a case is missing or foreign, and when one was measured on another trace, with
    another window or latency, or under other cost constants.
    """
    found = {case_name(row): row for row in results["cases"]}
    wanted = {case_name(row): row for row in reference["cases"]}

    def wrong(what: str, got: Any, expected: str) -> BrokenResults:
        return BrokenResults("results.json", what, got, expected, "run the grid that this reference was made for")

    missing = [name for name in wanted if name not in found]
    foreign = [name for name in found if name not in wanted]
    if missing:
        raise wrong("cases are missing", f"{len(found)} cases", f"also {', '.join(missing)}")
    if foreign:
        raise wrong("cases are not in the reference", ", ".join(foreign), f"only the {len(wanted)} of the reference")
    for name, row in found.items():
        for field in ("trace_sha256", "window", "latency", "cost"):
            if row["status"] == "ok" and row.get(field) != wanted[name][field]:
                raise wrong(f"{name} was measured with another {field}", row.get(field), wanted[name][field])
    return [(found[name], row) for name, row in wanted.items()]


def case_name(row: Row) -> str:
    """How a case is called everywhere: model/dataset ep N."""
    return f"{row.get('model')}/{row.get('dataset')} ep {row.get('ep')}"


Wrong = Callable[[str, Any, str], FileError]


def _read(path: Path, wrong: Wrong) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (OSError, ValueError, RecursionError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"{type(error).__name__}: {error}"
        raise wrong("cannot be read", reason, "strict JSON") from None
    if not isinstance(content, dict):
        raise wrong("has the wrong form", type(content).__name__, "a JSON object")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _rows(content: dict[str, Any], wrong: Wrong) -> list[Row]:
    rows = content.get("cases")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise wrong("has no cases", type(rows).__name__, "a list of cases")
    names = [case_name(row) for row in rows]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise wrong("cases stand twice", ", ".join(doubled), "each case once")
    return rows


def _check_numbers(row: Row, wrong: Wrong) -> None:
    name = case_name(row)
    checks = [("mean_par", float, 1.0), ("transmit_amount", int, 0), ("window", int, 1), ("latency", int, 0)]
    for field, kind, least in checks:
        value = row.get(field)
        if not _is_number(value, kind) or value < least:
            raise wrong(f"{name} has no valid {field}", value, f"a finite number of at least {least}")
    if not isinstance(row.get("trace_sha256"), str):
        raise wrong(f"{name} has no valid trace_sha256", row.get("trace_sha256"), "a hash")
    cost = row.get("cost")
    if not isinstance(cost, dict) or set(cost) != set(COST):
        raise wrong(f"{name} has no valid cost", cost, ", ".join(COST))
    for field in COST:
        if not _is_number(cost[field], float) or cost[field] <= 0:
            raise wrong(f"{name} has no valid cost.{field}", cost[field], "a positive number")


def _is_number(value: Any, kind: type) -> bool:
    kinds = int if kind is int else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
