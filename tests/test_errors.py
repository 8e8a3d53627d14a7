"""Problems: their text, their place, and their way between processes."""

import pickle

import pytest

from placement.errors import OrganizerError, PolicyError, Problem, SubmissionRefused, sentence

PARTS = ("it broke", "a", "b", "mend it")


def test_the_text_says_what_got_expected_and_next():
    assert str(Problem(*PARTS)) == "it broke. Got: a. Expected: b. Next: mend it."


def test_a_problem_has_the_fields_that_its_text_is_made_from():
    error = Problem(*PARTS, where="layer 3").at("call 2")
    fields = {"where": "call 2, layer 3", "what": "it broke", "got": "a", "expected": "b", "next": "mend it"}
    assert error.fields() == fields
    assert sentence(fields) == str(error)
    assert sentence(fields, "M/d ep 4") == "M/d ep 4, call 2, layer 3: it broke. Got: a. Expected: b. Next: mend it."


def test_empty_fields_are_left_out_of_the_text():
    assert str(Problem("it broke", "", "", "mend it")) == "it broke. Next: mend it."
    assert sentence(Problem("it broke", "a", "", "").fields(), "M/d ep 4") == "M/d ep 4: it broke. Got: a."


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
