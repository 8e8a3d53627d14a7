"""What failed: each failing case with the place, what was got and what was expected."""

from __future__ import annotations

from collections.abc import Sequence

from ..comparison import Row, case_name
from ..problems import sentence
from .markup import Markup, content, element

# Of hidden traces nothing but place and status is told: here is what a participant can do with these. Other phases may
# be over, but the kit is there.
NEXT = "repeat it with the kit"
OTHER_TRACES = (
    "kit.py run repeats most failures on the kit's traces. If it does not, try others: kit.py generate with another "
    "--seed and --output FOLDER, then kit.py run with --traces FOLDER."
)
AT_START = (
    "The policy could not be loaded: an exception at import or in __init__, a missing file or package, or its process "
    "ended. kit.py check loads it as the platform does, and names the packages that the platform lacks. "
)
WITHOUT_WORDS = {
    "crashed": f"The policy raised an exception, or its process ended. {OTHER_TRACES} The log says which.",
    "out_of_memory": "A limit of memory, threads or temporary files was reached; the pages Evaluation and Policy have "
    f"them. Long traces need more if the policy keeps what it was given. {OTHER_TRACES}",
    "invalid_answer": f"An answer broke a rule of the page Policy. kit.py check finds most of these. {OTHER_TRACES}",
}
PROFILE = "kit.py profile tells what start and calls take; the worker may be slower than your machine."
PARTS = {"where": "where", "got": "got", "expected": "expected", "next": "next step"}


def failure_list(failures: Sequence[Row], case_seconds: float | None) -> Markup:
    """A block per failing case; case_seconds: the grid's limit of a case, if it is known."""
    return content(element("h2", "What failed"), *(_failure(row, case_seconds) for row in failures))


def _failure(row: Row, case_seconds: float | None) -> Markup:
    name, failure = case_name(row), row["failure"]
    head = element("h3", name, " ", element("span", row["status"], class_="bad"))
    if not (failure["got"] and failure["expected"]):
        # As of hidden traces: too little for a list.
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
    """What to do about a failure of which place and status are known."""
    at_start = "call " not in row["failure"]["where"]
    if row["status"] == "timeout":
        return f"{_limit(row, at_start, case_seconds)} The page Evaluation has the limits. {PROFILE}"
    if row["status"] == "crashed" and at_start:
        return AT_START + OTHER_TRACES
    return WITHOUT_WORDS.get(row["status"])


def _limit(row: Row, at_start: bool, case_seconds: float | None) -> str:
    """Which limits a timeout may have reached, by its place and the seconds that the case took."""
    seconds = row.get("policy_seconds")
    if case_seconds and isinstance(seconds, (int, float)) and seconds >= case_seconds:
        return f"Start and calls of the case together reached case_seconds ({case_seconds:g} s)."
    if at_start:
        return "Before the first call the time was over: of import and __init__ (start_seconds), or of the whole grid."
    return (
        "In this call the time was over: of a call (call_seconds), of the whole grid (grid_seconds), or of the "
        "processor in all threads (case_seconds)."
    )
