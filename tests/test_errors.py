"""Problems: their text, their place, and their way between processes."""

import pickle

import pytest

from placement.errors import OrganizerError, PolicyError, Problem, SubmissionRefused

PARTS = ("it broke", "a", "b", "mend it")


def test_the_text_says_what_got_expected_and_next():
    assert str(Problem(*PARTS)) == "it broke. Got: a. Expected: b. Next: mend it."


def test_outer_places_come_before_inner_ones():
    error = Problem(*PARTS, where="layer 3").at("call 2 (iteration 9)").at("M/d ep 4")
    assert str(error) == "M/d ep 4, call 2 (iteration 9), layer 3: it broke. Got: a. Expected: b. Next: mend it."


@pytest.mark.parametrize(
    "error",
    [
        OrganizerError(*PARTS, where="trace M/d"),
        SubmissionRefused(*PARTS),
        PolicyError("timeout", *PARTS, where="layer 3"),
        PolicyError("crashed", what="it broke", got="a", expected="b", next_step="mend it"),
    ],
)
def test_a_problem_survives_the_way_between_processes(error):
    error.at("outside")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error) and str(copy).startswith("outside")
    assert getattr(copy, "status", None) == getattr(error, "status", None)
