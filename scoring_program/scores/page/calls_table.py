"""The calls of a case: each call's answer, layers applied, changed slots, and PAR before and after."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from ..comparison import is_number
from .markup import Markup, element, table

HEADINGS = (
    *("iteration", "answer", "layers applied", "changed slots", "seconds", "PAR before", "PAR after"),
    "devices with an expert twice",
)
KEY = (
    "PAR before: mean over the window before the call. PAR after: mean over the window after the call's last layer was "
    "applied. Devices with an expert twice waste a slot; counted over all layers, after the call's layers are applied. "
    "The initial deployment has such devices."
)


def calls_table(calls: Sequence[dict[str, Any]], seconds: Any) -> Markup:
    """A table with one row for each call.

    calls: the checked entries of explain.json; seconds: of each call, from results.json, unchecked.
    """
    if not calls:
        return element("p", "The trace is too short for a call.", class_="muted")
    known = seconds if isinstance(seconds, list) else []
    rows = [_cells(call, took) for call, took in zip_longest(calls, known[: len(calls)])]
    return table("Calls", HEADINGS, rows, "calls stacked", KEY)


def _cells(call: dict[str, Any], seconds: Any) -> tuple[str, ...]:
    answer = f"{call['listed']} layer{'s' * (call['listed'] > 1)}" if call["listed"] else "declined"
    after = "-" if call.get("par_after") is None else f"{call['par_after']:.4f}"
    took = f"{seconds:.3f}" if is_number(seconds) else "-"
    numbers = (str(call["applied"]), str(call["changed"]), took, f"{call['par_before']:.4f}")
    return (str(call["iteration"]), answer, *numbers, after, str(call["repeating_devices"]))
