"""What failed: each failing case with the place, what was got and what was expected."""

from __future__ import annotations

from collections.abc import Sequence

from ..comparison import Row, case_name
from ..problems import sentence
from .markup import Markup, content, element

# Of hidden traces nothing but place, status and next step is told: here is what a participant can do with these.
WITHOUT_WORDS = {
    "crashed": "The policy could not be loaded, raised an exception, or its process ended. On generated traces "
    "(kit.py generate with another --seed, then kit.py run with --traces) the log says which.",
    "timeout": "A time limit was reached; the page Evaluation has them all. kit.py profile tells what the calls take; "
    "the worker may be slower than your machine.",
    "out_of_memory": "A limit of memory, threads or temporary files was reached; the pages Evaluation and Policy have "
    "them. Long traces need more if the policy keeps what it was given.",
    "invalid_answer": "An answer broke a rule of the page Policy. kit.py check finds most of these, and kit.py run on "
    "generated traces (kit.py generate with another --seed) says which.",
}
PARTS = {"where": "where", "got": "got", "expected": "expected", "next": "next step"}


def failure_list(failures: Sequence[Row]) -> Markup:
    """A block per failing case."""
    return content(element("h2", "What failed"), *map(_failure, failures))


def _failure(row: Row) -> Markup:
    name, failure = case_name(row), row["failure"]
    head = element("h3", name, " ", element("span", row["status"], class_="bad"))
    if not (failure["got"] and failure["expected"]):
        # As of hidden traces: too little for a list.
        hint = WITHOUT_WORDS.get(row["status"])
        told = element("p", sentence(failure, name), class_="message")
        return element("section", head, told, element("p", hint) if hint else None, class_="failure")
    texts = failure | {"where": failure["where"] or "the whole case"}
    entries = [content(element("dt", label), element("dd", texts[part])) for part, label in PARTS.items()]
    what = element("p", texts["what"], class_="message")
    return element("section", head, what, element("dl", *entries), class_="failure")
