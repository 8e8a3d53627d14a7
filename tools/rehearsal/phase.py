"""A phase as the platform keeps it: its submissions, the attempts that they cost, and the board under Force_Best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FINISHED, FAILED = "Finished", "Failed"
# Where a submission's details page is, beginning with the site's name. A list links those of Finished ones alone.
DETAILS = "/competitions/<competition>/detailed_results/<submission>/"

Scores = dict[str, float]


class LimitReached(Exception):
    """The platform takes no further submission of this owner; the message is the platform's."""


@dataclass
class Submission:
    """A submission: its ID #, who handed it in, what, on which day, and the scores, or None where it Failed."""

    number: int
    owner: str
    zip: str
    day: int
    scores: Scores | None
    on_board: bool = False

    @property
    def status(self) -> str:
        """What a list of submissions shows."""
        return FAILED if self.scores is None else FINISHED

    @property
    def linked(self) -> bool:
        """Whether a list of submissions links the details page."""
        return self.status == FINISHED


class LivePhase:
    """The submissions of a phase, each run at once by the phase's programs; `programs` may be replaced.

    entry: the phase in competition.yaml; leaderboard: its leaderboard there; programs: the scores of a zip, or None
    where it Failed.
    """

    def __init__(
        self, entry: dict[str, Any], leaderboard: dict[str, Any], programs: Callable[[str], Scores | None]
    ) -> None:
        self.programs = programs
        self.submissions: list[Submission] = []
        self._daily, self._total = entry["max_submissions_per_day"], entry["max_submissions"]
        columns = sorted(leaderboard["columns"], key=lambda column: column["index"])
        primary = leaderboard["primary_index"]
        columns.sort(key=lambda column: column["index"] != primary)
        self._columns = [(column["key"], column.get("sorting", "desc") == "desc") for column in columns]
        self._last = 0

    def submit(self, owner: str, zip_name: str, day: int) -> Submission:
        """Hand in a zip. Raises LimitReached."""
        counted = [each.day for each in self._of(owner) if each.status != FAILED]
        if self._daily and counted.count(day) >= self._daily:
            raise LimitReached("Reached maximum allowed submissions for today for this phase")
        if self._total and len(counted) >= self._total:
            raise LimitReached("Reached maximum allowed submissions for this phase")
        return self._run(owner, zip_name, day)

    def rerun_all(self, day: int) -> list[Submission]:
        """Run every submission again, as a further one that no limit refuses."""
        return [self._run(each.owner, each.zip, day) for each in list(self.submissions)]

    def migrate(self, earlier: LivePhase, day: int) -> list[Submission]:
        """Run what stands on an earlier phase's board, as submissions that no limit refuses."""
        return [self._run(each.owner, each.zip, day) for each in earlier.rows()]

    def delete(self, numbers: set[int]) -> None:
        """Remove submissions. A row that goes makes no room for the owner's next best."""
        self.submissions = [each for each in self.submissions if each.number not in numbers]

    def rows(self) -> list[Submission]:
        """The board, best first."""
        return sorted((each for each in self.submissions if each.on_board), key=self._rank)

    def _run(self, owner: str, zip_name: str, day: int) -> Submission:
        self._last += 1
        submission = Submission(self._last, owner, zip_name, day, self.programs(zip_name))
        self.submissions.append(submission)
        if submission.scores is not None:
            finished = [each for each in self._of(owner) if each.scores is not None]
            best = min(finished, key=self._rank)
            for each in finished:
                each.on_board = each is best
        return submission

    def _of(self, owner: str) -> list[Submission]:
        return [each for each in self.submissions if each.owner == owner]

    def _rank(self, submission: Submission) -> tuple[float, ...]:
        """What the platform orders by: the primary column, the others, then the earlier submission."""
        scores = submission.scores or {}
        places = [-scores[key] if descending else scores[key] for key, descending in self._columns]
        return (*places, submission.number)
