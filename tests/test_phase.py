"""A phase as the platform keeps it: its board, its attempts, and the recipe for a correction on both."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from bundling import rules_competition
from bundling.reader import Bundle
from docs import ROOT
from guide import board, follow_the_correction, section
from rehearsal.phase import DETAILS, LimitReached, LivePhase, Scores

COMPETITION: dict[str, Any] = yaml.safe_load((ROOT / "competition.yaml").read_text(encoding="utf-8"))
DEVELOPMENT, FINAL = COMPETITION["phases"]
OTHERS = ("mean_par", "transmit_amount", "par_vs_ds_eplb", "transmit_vs_ds_eplb")
# By zip; the wrong programs score too high.
WRONG = {"ann-1": 120.0, "ann-2": 110.0, "bob-1": 115.0, "broken": None}
RIGHT = {"ann-1": 100.0, "ann-2": 105.0, "bob-1": 102.0, "broken": None}


def scores(composite: float | None, **columns: float) -> Scores | None:
    return None if composite is None else {"composite_score": composite, **dict.fromkeys(OTHERS, 1.0), **columns}


def phase_of(table: dict[str, float | None], entry: dict[str, Any] = FINAL) -> LivePhase:
    return LivePhase(entry, COMPETITION["leaderboards"][0], lambda name: scores(table[name]))


@pytest.fixture
def final() -> LivePhase:
    """The Final with two owners, scored too high."""
    phase = phase_of(WRONG)
    for day, name in ((1, "ann-1"), (1, "bob-1"), (2, "ann-2"), (2, "broken")):
        phase.submit(name.partition("-")[0] if "-" in name else "ann", name, day)
    return phase


def test_the_board_has_the_best_finished_submission_of_each(final: LivePhase) -> None:
    assert board(final) == [("ann", 120.0), ("bob", 115.0)]
    assert [each.linked for each in final.submissions] == [True, True, True, False]


def test_equal_scores_are_told_apart_by_the_other_columns_and_then_by_date() -> None:
    table = {"a": scores(100.0), "b": scores(100.0, mean_par=0.5), "c": scores(100.0)}
    phase = LivePhase(FINAL, COMPETITION["leaderboards"][0], table.get)
    for name in "abc":
        phase.submit(name, name, 1)
    assert [row.owner for row in phase.rows()] == ["b", "a", "c"]


def test_running_again_alone_leaves_the_old_higher_scores(final: LivePhase) -> None:
    final.programs = lambda name: scores(RIGHT[name])
    final.rerun_all(3)
    assert board(final) == [("ann", 120.0), ("bob", 115.0)]


def test_deleting_what_stands_on_the_board_leaves_a_gap(final: LivePhase) -> None:
    final.delete({row.number for row in final.rows()})
    assert board(final) == []


def test_the_guides_correction_ends_with_each_owners_best_corrected_score(final: LivePhase) -> None:
    boards = follow_the_correction(final, lambda name: scores(RIGHT[name]), day=3)
    old, new = [("ann", 120.0), ("bob", 115.0)], [("ann", 105.0), ("bob", 102.0)]
    assert boards == {
        "Announce": old,
        "Replace the programs": old,
        "Re-run all": old,
        "Delete the superseded": [],
        "Re-run all once more": new,
        "Delete the doubles": new,
        "Tell": new,
    }
    assert sorted(each.zip for each in final.submissions) == sorted(RIGHT)


def test_deleting_before_running_again_loses_the_zips(final: LivePhase) -> None:
    final.delete({each.number for each in final.submissions})
    assert final.rerun_all(3) == []
    assert "Never before step 3" in " ".join(section("## Correcting a live competition").split())


def test_a_correction_gives_all_attempts_back_the_next_day(final: LivePhase) -> None:
    follow_the_correction(final, lambda name: scores(RIGHT[name]), day=3)
    with pytest.raises(LimitReached, match="today"):
        final.submit("ann", "ann-2", 3)
    # Ann had two of the ten; a failed one costs nothing.
    for number in range(FINAL["max_submissions"] - 2):
        final.submit("ann", "ann-2", 4 + number // FINAL["max_submissions_per_day"])
    with pytest.raises(LimitReached, match="Reached maximum allowed submissions for this phase"):
        final.submit("ann", "ann-2", 30)


def test_the_finals_limits_leave_room_for_a_correction_of_five() -> None:
    phase = phase_of(WRONG)
    for day in range(5):
        phase.submit("ann", "ann-1", day)
    phase.rerun_all(9)
    assert len(phase.submissions) == FINAL["max_submissions"]
    assert "five submissions, the migrated one among them, and their five re-runs are ten" in " ".join(
        section("## Correcting a live competition").split()
    )


def test_a_migrated_submission_counts_on_the_first_day() -> None:
    earlier, phase = phase_of(RIGHT, DEVELOPMENT), phase_of(RIGHT)
    for name in ("ann-1", "ann-2"):
        earlier.submit("ann", name, 0)
    assert [each.zip for each in phase.migrate(earlier, 1)] == ["ann-2"]
    phase.submit("ann", "ann-1", 1)
    with pytest.raises(LimitReached, match="today"):
        phase.submit("ann", "ann-1", 1)


def test_failed_submissions_cost_no_attempt() -> None:
    phase = phase_of(WRONG)
    for _ in range(FINAL["max_submissions"] + 1):
        phase.submit("ann", "broken", 1)
    assert board(phase) == []


@pytest.mark.parametrize("document", ["ORGANIZERS.md", "pages/overview.md"])
def test_the_way_to_a_failed_submissions_page_stands_in_guide_and_pages(document: str) -> None:
    assert DETAILS in (ROOT / document).read_text(encoding="utf-8")


def test_guide_and_rules_promise_the_same_of_a_correction() -> None:
    daily, total = FINAL["max_submissions_per_day"], FINAL["max_submissions"]
    guide = " ".join(section("## Correcting a live competition").split())
    rules = (ROOT / "pages" / "rules.md").read_text(encoding="utf-8").split("## Changes and corrections\n")[1]
    assert f"({daily} a day, {total} in all)" in guide
    for promise in ("last three days", "attempt", "the next day"):
        assert promise in guide and promise in rules.replace("The next", "the next"), promise


def test_the_guides_queue_has_the_form_that_check_takes() -> None:
    (queue,) = re.findall(r"`queue: (\S+)`", section("## 5. The worker"))
    assert list(rules_competition.queue(Bundle({}, {"queue": queue}))) == []
    assert len(list(rules_competition.queue(Bundle({}, {"queue": f"pyamqp://name:secret@host:5672/{queue}"})))) == 1


def test_accounts_wait_for_approval_as_guide_and_rules_say() -> None:
    assert COMPETITION["registration_auto_approve"] is False
    assert "`registration_auto_approve: false`" in section("### A submission with a command")
    rules = " ".join((ROOT / "pages" / "rules.md").read_text(encoding="utf-8").split())
    assert "Organizers approve each registration by hand" in rules
