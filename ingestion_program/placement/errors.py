"""Errors that say what was wrong, where, what was got and expected, and the next step."""

from __future__ import annotations


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

    def __str__(self) -> str:
        place = ", ".join(self.where)
        text = f"{self.what}. Got: {self.got}. Expected: {self.expected}. Next: {self.next_step}."
        return f"{place}: {text}" if place else text


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


def printable(value: str) -> str:
    """Replace control characters, so that neither a terminal nor a log can be steered by a participant."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in value)
