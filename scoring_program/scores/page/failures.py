"""What failed: each failing case with the place, what was got and what was expected."""

from __future__ import annotations

from collections.abc import Sequence

from ..comparison import Row, case_name
from ..problems import sentence
from .markup import Markup, content, element

# A failure on hidden traces has only place and status. These texts say what a participant can do with the two. Other
# phases may be over, so the texts name the kit.
NEXT = "repeat the failure with the kit"
OTHER_TRACES = (
    "Most failures occur on the kit's traces, too: use kit.py run. If the run passes, try other traces: kit.py "
    "generate with another --seed and --output FOLDER, then kit.py run with --traces FOLDER."
)
AT_START = (
    "The policy could not be loaded: an exception at import or in __init__, a missing file or package, or the policy's "
    "process ended. kit.py check loads the policy as the platform does, and names packages that the platform lacks. "
)
WITHOUT_WORDS = {
    "crashed": "The policy raised an exception, or the policy's process ended. "
    f"{OTHER_TRACES} The log of that run says what happened.",
    "out_of_memory": "A limit of memory, threads or temporary files was reached. The pages Evaluation and Policy list "
    f"the limits. A policy that keeps every window needs more memory on long traces. {OTHER_TRACES}",
    "invalid_answer": f"An answer broke a rule of the page Policy. kit.py check finds most of these. {OTHER_TRACES}",
}
PROFILE = "kit.py profile measures the seconds of start and calls. The worker may be slower than your machine."
PARTS = {"where": "where", "got": "got", "expected": "expected", "next": "next step"}


def failure_list(failures: Sequence[Row], case_seconds: float | None) -> Markup:
    """One block for each failing case; case_seconds: the grid's limit for a case, if known."""
    return content(element("h2", "What failed"), *(_failure(row, case_seconds) for row in failures))


def _failure(row: Row, case_seconds: float | None) -> Markup:
    name, failure = case_name(row), row["failure"]
    head = element("h3", name, " ", element("span", row["status"], class_="bad"))
    if not (failure["got"] and failure["expected"]):
        # A failure on hidden traces: too few fields for a list.
        hint = _hint(row, case_seconds)
        told = element(
            "p", sentence(failure | ({"next": NEXT} if hint and failure["next"] else {}), name), class_="message"
        )
        return element("section", head, told, element("p", hint) if hint else None, class_="failure")
    texts = failure | {"where": failure["where"] or "the whole case"}
    entries = [content(element("dt", label), element("dd", texts[part])) for part, label in PARTS.items()]
    what = element("p", texts["what"], class_="message")
    return element("section", head, what, element("dl", *entries), class_="failure")


def _hint(row: Row, case_seconds: float | None) -> str | None:
    """What to do about a failure that has only place and status; None where nothing is known."""
    at_start = "call " not in row["failure"]["where"]
    if row["status"] == "timeout":
        return f"{_limit(row, at_start, case_seconds)} The page Evaluation lists the limits. {PROFILE}"
    if row["status"] == "crashed" and at_start:
        return AT_START + OTHER_TRACES
    return WITHOUT_WORDS.get(row["status"])


def _limit(row: Row, at_start: bool, case_seconds: float | None) -> str:
    """The limits that a timeout may have reached, from the timeout's place and the case's seconds."""
    seconds = row.get("policy_seconds")
    if case_seconds and isinstance(seconds, (int, float)) and seconds >= case_seconds:
        return f"Start and all calls of the case together reached case_seconds ({case_seconds:g} s)."
    if at_start:
        return (
            "A time limit was reached before the first call: start_seconds (import and __init__) or grid_seconds (the "
            "whole grid)."
        )
    return (
        "A time limit was reached during this call: call_seconds (one call), grid_seconds (the whole grid) or "
        "case_seconds (processor time of all threads)."
    )
