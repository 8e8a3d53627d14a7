"""What failed: each failing case with the place, what was got and what was expected."""

from __future__ import annotations

from collections.abc import Sequence

from ..comparison import Row, case_name
from ..problems import sentence
from .markup import Markup, content, element

PARTS = {"where": "where", "got": "got", "expected": "expected", "next": "next step"}


def failure_list(failures: Sequence[Row]) -> Markup:
    """A block per failing case."""
    return content(element("h2", "What failed"), *map(_failure, failures))


def _failure(row: Row) -> Markup:
    name, failure = case_name(row), row["failure"]
    head = element("h3", name, " ", element("span", row["status"], class_="bad"))
    if not (failure["got"] and failure["expected"]):
        # As of hidden traces: too little for a list.
        return element("section", head, element("p", sentence(failure, name), class_="message"), class_="failure")
    texts = failure | {"where": failure["where"] or "the whole case"}
    entries = [content(element("dt", label), element("dd", texts[part])) for part, label in PARTS.items()]
    what = element("p", texts["what"], class_="message")
    return element("section", head, what, element("dl", *entries), class_="failure")
