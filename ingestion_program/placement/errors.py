"""Errors that state what was wrong, where, what was got and expected, and the next step."""

from __future__ import annotations

from collections.abc import Mapping

LABELS = {"got": "Got", "expected": "Expected", "next": "Next"}


class Problem(Exception):
    """An error for the person who can correct it; `where` grows from the inside out while the error travels up.

    The arguments are positional, so that the error can be sent between processes.
    """

    def __init__(self, what: str, got: str, expected: str, next_step: str, where: str = "") -> None:
        super().__init__(what, got, expected, next_step)
        self.what, self.got, self.expected, self.next_step = what, got, expected, next_step
        self.where = [where] if where else []

    def at(self, place: str) -> Problem:
        """Put an outer place (case, call) before the inner places (layer), and return self."""
        self.where.insert(0, place)
        return self

    def fields(self) -> dict[str, str]:
        """The texts where, what, got, expected and next, as in results.json."""
        told = {"got": self.got, "expected": self.expected, "next": self.next_step}
        return {"where": ", ".join(self.where), "what": self.what, **told}

    def __str__(self) -> str:
        return sentence(self.fields())


class OrganizerError(Problem):
    """The grid, a trace or the machine is wrong. The participant made no mistake, and nothing is scored."""


class SubmissionRefused(Problem):
    """The submission cannot be run at all."""


class PolicyError(Problem):
    """A case failed because of its policy; `status` is the case's status (pages/evaluation.md)."""

    STATUSES = ("crashed", "timeout", "out_of_memory", "invalid_answer")

    def __init__(self, status: str, what: str, got: str, expected: str, next_step: str, where: str = "") -> None:
        super().__init__(what, got, expected, next_step, where)
        self.status = status
        # The policy's own lines that led to it, for the log.
        self.trace = ""
        self.args = (status, *self.args)


def sentence(fields: Mapping[str, str], place: str = "") -> str:
    """The sentence of a problem's fields; empty fields are left out; place: put before `where`."""
    where = ", ".join(text for text in (place, fields["where"]) if text)
    parts = [fields["what"], *(f"{label}: {fields[name]}" for name, label in LABELS.items() if fields[name])]
    return (f"{where}: " if where else "") + ". ".join(parts) + "."


def printable(value: str) -> str:
    """Replace control characters, so that a participant's text cannot steer a terminal or a log."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in value)
