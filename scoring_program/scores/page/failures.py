"""What failed: each failing case with the place, what was got and what was expected."""

from __future__ import annotations

from collections.abc import Sequence

from ..comparison import Row, case_name, message_of
from .markup import Markup, content, element

PARTS = {"where": "where", "got": "got", "expected": "expected", "next": "next step"}


def failure_list(failures: Sequence[Row]) -> Markup:
    """A block per failing case."""
    return content(element("h2", "What failed"), *map(_failure, failures))


def _failure(row: Row) -> Markup:
    name, message = case_name(row), message_of(row)
    head = element("h3", name, " ", element("span", row["status"], class_="bad"))
    texts = _parts(message, name)
    if texts is None:
        return element("section", head, element("p", message, class_="message"), class_="failure")
    entries = [content(element("dt", label), element("dd", texts[part])) for part, label in PARTS.items()]
    what = element("p", texts["what"], class_="message")
    return element("section", head, what, element("dl", *entries), class_="failure")


def _parts(message: str, name: str) -> dict[str, str] | None:
    """The parts of an error as the ingestion program writes it; None for another form, which is shown as it is.

    What was got may hold any text of the policy's, so the parts after it are sought from the end.
    """
    where, colon, rest = message.removeprefix(name).partition(": ")
    what, got_mark, rest = rest.partition(". Got: ")
    rest, next_mark, next_step = rest.rpartition(". Next: ")
    got, expected_mark, expected = rest.rpartition(". Expected: ")
    if not (message.startswith(name) and colon and got_mark and next_mark and expected_mark):
        return None
    place = where.strip(", ") or "the whole case"
    return {"where": place, "what": what, "got": got, "expected": expected, "next": next_step.removesuffix(".")}
