"""Errors that say what was wrong, where, what was got and expected, and the next step."""

from __future__ import annotations

from collections.abc import Mapping

LABELS = {"got": "Got", "expected": "Expected", "next": "Next"}


class Problem(Exception):
    """An error for the person who can mend it; `where` grows from the inside out as it travels up.

    Its arguments are positional so that it survives the way between processes.
    """

    def __init__(self, what: str, got: str, expected: str, next_step: str, where: str = "") -> None:
        super().__init__(what, got, expected, next_step)
        self.what, self.got, self.expected, self.next_step = what, got, expected, next_step
        self.where = [where] if where else []

    def at(self, place: str) -> Problem:
        """Put an outer place (case, call) before the inner ones (layer) and return self."""
        self.where.insert(0, place)
        return self

    def fields(self) -> dict[str, str]:
        """The texts where, what, got, expected and next, as results.json keeps them."""
        told = {"got": self.got, "expected": self.expected, "next": self.next_step}
        return {"where": ", ".join(self.where), "what": self.what, **told}

    def __str__(self) -> str:
        return sentence(self.fields())


class OrganizerError(Problem):
    """The grid, a trace or the machine is wrong: not the participant's fault, nothing is scored."""


class SubmissionRefused(Problem):
    """The submission cannot be run at all, whatever its policy does."""


class PolicyError(Problem):
    """A case failed through its policy; `status` is the case's status word (docs: pages/evaluation.md)."""

    STATUSES = ("crashed", "timeout", "out_of_memory", "invalid_answer")

    def __init__(self, status: str, what: str, got: str, expected: str, next_step: str, where: str = "") -> None:
        super().__init__(what, got, expected, next_step, where)
        self.status = status
        # The policy's own lines that led to it, for the log.
        self.trace = ""
        self.args = (status, *self.args)


def sentence(fields: Mapping[str, str], place: str = "") -> str:
    """What is printed of a problem's fields, without those that are empty; place: what `where` lies in."""
    where = ", ".join(text for text in (place, fields["where"]) if text)
    parts = [fields["what"], *(f"{label}: {fields[name]}" for name, label in LABELS.items() if fields[name])]
    return (f"{where}: " if where else "") + ". ".join(parts) + "."


def printable(value: str) -> str:
    """Replace control characters, so that neither a terminal nor a log can be steered by a participant."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in value)
