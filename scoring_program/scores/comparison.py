"""Reads results and reference, and refuses results that cannot be compared with the reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .formats import REFERENCE_FORMAT, RESULTS_FORMAT, RUN_AGAIN, check_format
from .problems import FIELDS, FileError, Wrong, reason, shown
from .regular_file import TooLarge, read_regular

Row = dict[str, Any]
STATUSES = ("scored", "failed", "refused", "data_unavailable")
CASE_STATUSES = ("ok", "crashed", "timeout", "out_of_memory", "invalid_answer")
COST = ("balanced_compute_seconds", "expert_bytes", "bandwidth_bytes_per_second")
# Numbers from here on are refused: the platform stores none of 1e10 or more, and no real cost reaches 1e15.
LARGEST, LARGEST_COST = 1e10, 1e15
# The fields of a case's name.
NAMED_BY = (
    ("model", str, "text"),
    ("dataset", str, "text"),
    ("ep", int, "an integer"),
    ("redundant_experts", int, "an integer"),
)
LONGEST_TEXT = 100_000
LARGEST_REFERENCE = 64 * 1024**2
# The layers that a grid with `sandbox: required` demands: the ingestion program's REQUIRED_LAYERS.
SANDBOXES, REQUIRED_LAYERS = ("required", "best_effort"), ("limits", "capabilities", "files", "calls")
REBUILD = "nothing for participants to do; organizers write the reference again with kit.py reference"
FIND = "find the reason in the log of the ingestion program, then run again"


def read_reference(path: Path) -> dict[str, Any]:
    """Read ds_eplb.json. Raises FileError unless every case stands once, with finite numbers and transmit above 0."""

    def wrong(what: str, got: Any, expected: str, next_step: str = REBUILD) -> FileError:
        return FileError("data_unavailable", path.name, what, got, expected, next_step)

    try:
        data = read_regular(path, LARGEST_REFERENCE)
    except OSError as error:
        raise wrong("cannot be read", reason(error), "strict JSON") from None
    except TooLarge:
        got, expected = f"more than {LARGEST_REFERENCE} bytes", f"at most {LARGEST_REFERENCE} bytes"
        raise wrong("is too large", got, expected) from None
    reference = _parse(data, wrong)
    check_format(reference, REFERENCE_FORMAT, wrong, REBUILD)
    for row in _rows(reference, wrong):
        _check_numbers(row, wrong)
        if not isinstance(row.get("simulator_version"), str):
            what = f"{case_name(row)} has no valid simulator_version"
            raise wrong(what, shown(row.get("simulator_version")), "text")
        if row["transmit_amount"] == 0:
            raise wrong(f"{case_name(row)} has no transmit", "transmit_amount 0", "a transmit_amount above 0")
    return reference


def broken_results(what: str, got: Any, expected: str, next_step: str = FIND) -> FileError:
    """The error for a results.json that the ingestion program wrote in a wrong form."""
    return FileError("failed", "results.json", what, got, expected, next_step)


def read_results(data: bytes) -> dict[str, Any]:
    """Parse the bytes of results.json. Raises FileError for a wrong form; failed cases are allowed."""
    results = _parse(data, broken_results)
    check_format(results, RESULTS_FORMAT, broken_results, RUN_AGAIN)
    if results.get("status") not in STATUSES:
        raise broken_results("has an unknown status", shown(results.get("status")), f"one of {', '.join(STATUSES)}")
    if results["status"] in ("refused", "data_unavailable"):
        _check_failure("the run", results.get("failure"))
        return results | {"cases": []}
    for row in _rows(results, broken_results):
        if row.get("status") not in CASE_STATUSES:
            expected = f"one of {', '.join(CASE_STATUSES)}"
            raise broken_results(f"{case_name(row)} has an unknown status", shown(row.get("status")), expected)
        if row["status"] == "ok":
            _check_numbers(row, broken_results)
        else:
            _check_failure(case_name(row), row.get("failure"))
    if results["status"] == "failed" and all(row["status"] == "ok" for row in results["cases"]):
        got = f"{len(results['cases'])} cases with status ok"
        raise broken_results("has the status failed without a failed case", got, "at least one failed case")
    return results


def match(results: dict[str, Any], reference: dict[str, Any]) -> list[tuple[Row, Row]]:
    """Pairs (row, reference row) in the reference's order, the grid's order.

    Raises FileError for a case that the reference lacks, for a missing case where no case failed, and for a case that
    was measured with another trace, window, latency, groups, nodes, cost constants or simulator than the reference's.
    """
    measured = {case_name(row): row for row in results["cases"]}
    wanted = {case_name(row): row for row in reference["cases"]}

    def wrong(what: str, got: Any, expected: str) -> FileError:
        next_step = (
            "use the grid and the traces that the reference was made from, or make a new reference with kit.py "
            "reference; on Codabench, tell the organizers"
        )
        # Results and reference are each sound: the participant made no mistake.
        return FileError("data_unavailable", "results.json", what, got, expected, next_step)

    missing = [name for name in wanted if name not in measured]
    if any(row["status"] != "ok" for row in measured.values()):
        # A run on hidden traces ends at its first failed case; without a score nothing is compared.
        missing = []
    foreign = [name for name in measured if name not in wanted]
    if missing:
        instead = f", among them {', '.join(foreign)}" * bool(foreign)
        raise wrong("cases are missing", f"{len(measured)} cases{instead}", f"also {', '.join(missing)}")
    if foreign:
        expected = f"only the {len(wanted)} cases of the reference"
        raise wrong("cases are not in the reference", ", ".join(foreign), expected)
    versions = results.get("versions")
    simulator = versions.get("simulator") if isinstance(versions, dict) else None
    for name, row in measured.items():
        row = row | {"simulator_version": simulator}
        for field in ("simulator_version", "trace_sha256", "window", "latency", "groups", "nodes", "cost"):
            if row["status"] == "ok" and row.get(field) != wanted[name][field]:
                got, expected = shown(row.get(field)), shown(wanted[name][field])
                what = f"{name} was measured with {'other' if field.endswith('s') else 'another'} {field}"
                raise wrong(what, got, expected)
    return [(measured[name], row) for name, row in wanted.items() if name in measured]


def check_layers(results: dict[str, Any]) -> None:
    """Raises FileError unless the policy was isolated by every layer that the grid's `sandbox` demands."""
    sandbox = results.get("sandbox")
    mode, layers = (sandbox.get("mode"), sandbox.get("layers")) if isinstance(sandbox, dict) else (None, None)
    if mode not in SANDBOXES or not isinstance(layers, list) or not all(isinstance(layer, str) for layer in layers):
        expected = f"mode (one of {', '.join(SANDBOXES)}) and layers (a list of texts)"
        raise broken_results("has no valid sandbox", shown(sandbox), expected)
    if mode == "required" and not set(REQUIRED_LAYERS) <= set(layers):
        raise FileError(
            "data_unavailable",
            "results.json",
            "the policy was not isolated as the grid requires",
            f"active layers {', '.join(layers) or 'none'}",
            f"at least {', '.join(REQUIRED_LAYERS)}",
            "nothing for participants to do; organizers use a worker with a current Linux kernel",
        )


def case_name(row: Row) -> str:
    """The name of a case: `model/dataset ep N`, with ` +R` where the R redundant experts are not N."""
    redundancy = "" if row.get("redundant_experts") == row.get("ep") else f" +{row.get('redundant_experts')}"
    return f"{row.get('model')}/{row.get('dataset')} ep {row.get('ep')}{redundancy}"


def is_number(
    value: Any, kind: type | tuple[type, ...] = (int, float), least: float = 0, below: float = LARGEST
) -> bool:
    """Whether value is a number, at least `least` and less than `below`. Booleans, NaN and infinity are not."""
    return isinstance(value, kind) and not isinstance(value, bool) and least <= value < below


def _parse(data: bytes, wrong: Wrong) -> dict[str, Any]:
    try:
        content = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        nested = isinstance(error, RecursionError)
        got = "too many nested lists or objects" if nested else f"{type(error).__name__}: {error}"
        raise wrong("cannot be read", got, "strict JSON") from None
    if not isinstance(content, dict):
        raise wrong("has the wrong form", shown(content), "a JSON object")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not allowed in JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys stand once. Readers differ in which of two equal keys they take."""
    content: dict[str, Any] = {}
    for name, value in pairs:
        if name in content:
            raise ValueError(f"the key {shown(name)} stands twice")
        content[name] = value
    return content


def _rows(content: dict[str, Any], wrong: Wrong) -> list[Row]:
    rows = content.get("cases")
    if not isinstance(rows, list) or not rows:
        raise wrong("has no cases", shown(rows), "a list of cases")
    for row in rows:
        if not isinstance(row, dict):
            raise wrong("has a case that is not an object", shown(row), "a JSON object")
        # Types first: a name must not take "32" for 32.
        for field, kind, expected in NAMED_BY:
            if not isinstance(row.get(field), kind) or isinstance(row[field], bool):
                raise wrong(f"has a case without a valid {field}", shown(row.get(field)), expected)
    names = [case_name(row) for row in rows]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise wrong("lists cases twice", ", ".join(doubled), "each case once")
    return rows


def _check_numbers(row: Row, wrong: Wrong) -> None:
    name = case_name(row)
    checks = [("mean_par", (int, float), 1), ("transmit_amount", int, 0), ("window", int, 1), ("latency", int, 0)]
    checks += [("groups", int, 1), ("nodes", int, 1)]
    for field, kind, least in checks:
        value = row.get(field)
        if not is_number(value, kind, least):
            expected = f"{'an integer' if kind is int else 'a number'}, at least {least} and less than {LARGEST:g}"
            raise wrong(f"{name} has no valid {field}", shown(value), expected)
    if not isinstance(row.get("trace_sha256"), str):
        raise wrong(f"{name} has no valid trace_sha256", shown(row.get("trace_sha256")), "a hash, as text")
    cost = row.get("cost")
    if not isinstance(cost, dict) or set(cost) != set(COST):
        raise wrong(f"{name} has no valid cost", shown(cost), ", ".join(COST))
    for field in COST:
        if not is_number(cost[field], below=LARGEST_COST) or cost[field] == 0:
            expected = f"a number above 0 and less than {LARGEST_COST:g}"
            raise wrong(f"{name} has no valid cost.{field}", shown(cost[field]), expected)


def _check_failure(name: str, failure: Any) -> None:
    texts = failure.values() if isinstance(failure, dict) and set(failure) == set(FIELDS) else [None]
    if not all(isinstance(text, str) and len(text) <= LONGEST_TEXT for text in texts):
        expected = f"{', '.join(FIELDS)}, each a text of at most {LONGEST_TEXT} characters"
        raise broken_results(f"{name} has no valid failure", shown(failure), expected)
