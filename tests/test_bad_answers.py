"""Answers that break a rule: each is refused with what was got, what was expected, and the next step."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest

from placement.errors import PolicyError
from placement.isolation.reading import read_class_answer, read_function_answer
from placement.replay import replay
from placement.trace import Trace
from submissions import run_policy, sentence_of, stored_hotness, tiny_grid, write_policy

CALL = "Small/one ep 2, call 1 (iteration 4)"
TABLE = "[[[0, 1, 3], [2, 3, 0]], [[0, 1, 2], [2, 3, 3]]]"
NOT_READ = "rebalance returned no answer that can be read"
NOTHING = "None, as a function without return gives"
FOUR = (
    "Expected: (change, layers_priority, deployment_table, aux). "
    "Next: return all four; to keep the deployment return (False, None, None, None)."
)
TWO = (
    "Expected: None, or (layers_priority, deployment_table). "
    "Next: return two values, without change and aux, or None to keep the deployment."
)
PRIORITY_TYPE = "Expected: integers [n]."
TABLE_TYPE = "Expected: integers [layer, device, slot]."
TABLE_SHAPE = "Expected: [2, 2, 3] [layer, device, slot]. Next: "
WHOLE = "return the whole table, with every layer"
NO_SLOT = (
    "Expected: each of the 4 experts in at least one of 6 slots. "
    "Next: give every expert a slot, or leave the layer out of layers_priority."
)
RANGE = "Expected: 0 .. 3. Next: put a logical expert id, counted from 0, into every slot; no slot stays empty."
LAYER_RANGE = "Expected: 0 .. 1. Next: list layers by their index in the deployment table, counted from 0."
TWICE = "Expected: each layer at most once. Next: remove the repeated layer."


def told(answer: str) -> str:
    """What replay says to an answer of the function form; the policy's side reads it, without a process."""
    value = eval(answer, {"np": np})
    with pytest.raises(PolicyError) as caught:
        replay(Trace(stored_hotness("Small")), tiny_grid().cases[0], lambda *call: read_function_answer(value))
    assert caught.value.status == "invalid_answer"
    return f"Small/one ep 2, {caught.value}"


@pytest.mark.parametrize("read", [read_function_answer, read_class_answer])
def test_a_coroutine_is_closed_so_that_python_warns_of_nothing(read) -> None:
    async def rebalance() -> None:
        return None

    answer = rebalance()
    with pytest.raises(PolicyError, match="a coroutine, which async def gives"):
        read(answer)
    assert inspect.getcoroutinestate(answer) == inspect.CORO_CLOSED


def message(folder: Path, source: str) -> str:
    """The message of a case that must fail for its answer."""
    row = run_policy(write_policy(folder, source)).row
    assert row["status"] == "invalid_answer"
    assert (row["mean_par"], row["transmit_amount"]) == (None, None)
    return sentence_of(row)


def answering(answer: str) -> str:
    """The source of a policy in the function form with one answer at every call."""
    return f"import numpy as np\n\ndef rebalance(hotness, n_device, n_red_expert):\n    return {answer}\n"


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        (None, NOTHING),
        (True, "bool"),
        ({"change": True}, "dict"),
        ((True, [0], []), "tuple of length 3"),
        ([True, [0], [], None, None], "list of length 5"),
    ],
)
def test_anything_but_the_four_values_of_the_function_form_is_refused(answer: object, got: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read_function_answer(answer)
    assert (caught.value.status, str(caught.value)) == ("invalid_answer", f"{NOT_READ}. Got: {got}. {FOUR}")


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        (False, "bool"),
        ((True, [0], [], None), "tuple of length 4"),
        (np.zeros((2, 2, 3), int), "ndarray"),
    ],
)
def test_anything_but_none_or_two_values_of_the_class_form_is_refused(answer: object, got: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read_class_answer(answer)
    assert (caught.value.status, str(caught.value)) == ("invalid_answer", f"Policy.{NOT_READ}. Got: {got}. {TWO}")


def test_an_answer_that_is_no_integers_is_refused_in_the_policy_s_process(tmp_path: Path) -> None:
    answer = f"True, [0], {TABLE.replace('1', '1.0')}, None"
    assert message(tmp_path, answering(answer)) == told(answer)


def test_a_policy_that_forgets_to_return_is_told_what_to_return(tmp_path: Path) -> None:
    assert message(tmp_path, answering("None")) == f"{CALL}: {NOT_READ}. Got: {NOTHING}. {FOUR}"


def test_a_change_without_a_truth_value_is_refused() -> None:
    assert told(f"np.array([True, False]), [0], {TABLE}, None") == (
        f"{CALL}: change has no truth value. Got: ndarray. Expected: True or False. "
        "Next: return one boolean for the whole answer."
    )


@pytest.mark.parametrize(
    ("priority", "got"),
    [
        ("None", "Got: None."),
        ("np.array([0.0])", "Got: ndarray of dtype float64."),
        ("np.array([True, True])", "Got: ndarray of dtype bool."),
        ("[0, True]", "Got: a list that holds a boolean."),
        ("[0, [1]]", "Got: a ragged list."),
    ],
)
def test_a_priority_that_is_not_made_of_integers_is_refused(priority: str, got: str) -> None:
    text = told(f"True, {priority}, {TABLE}, None")
    assert text.startswith(f"{CALL}: layers_priority is not made of integers. {got} {PRIORITY_TYPE} Next: ")


@pytest.mark.parametrize(
    ("priority", "expected"),
    [
        ("[2]", f"names a layer that does not exist. Got: 2. {LAYER_RANGE}"),
        ("[0, -1]", f"names a layer that does not exist. Got: -1. {LAYER_RANGE}"),
        ("np.array([2**63], 'u8')", f"names a layer that does not exist. Got: {2**63 - 1}. {LAYER_RANGE}"),
        ("[1, 1]", f"lists a layer twice. Got: layer 1 2 times. {TWICE}"),
        (
            "[0, 1, 0]",
            "lists too many layers. Got: 3. Expected: at most 2, each layer once. "
            "Next: list each layer to redeploy once.",
        ),
        (
            "[[0, 1]]",
            "has the wrong shape. Got: [1, 2]. Expected: [n], a flat list of layers. "
            "Next: return one list of layer indices, before the table.",
        ),
    ],
)
def test_a_priority_that_breaks_a_rule_is_refused(priority: str, expected: str) -> None:
    text = told(f"True, {priority}, {TABLE}, None")
    assert text == f"{CALL}: layers_priority {expected}"


@pytest.mark.parametrize(
    ("table", "got"),
    [
        ("None", "Got: None."),
        (f"np.array({TABLE}, bool)", "Got: ndarray of dtype bool."),
        (f"np.array({TABLE}, object)", "Got: ndarray of dtype object."),
        (TABLE.replace("1", "1.0"), "Got: list of dtype float64."),
        (TABLE.replace("1", "True"), "Got: a list that holds a boolean."),
        (TABLE.replace("[0, 1, 2]", "[0, 1]"), "Got: a ragged list."),
        (TABLE.replace("1", "2**64"), "Got: list of dtype object."),
    ],
)
def test_a_table_that_is_not_made_of_integers_is_refused(table: str, got: str) -> None:
    text = told(f"True, [0], {table}, None")
    assert text.startswith(f"{CALL}: deployment_table is not made of integers. {got} {TABLE_TYPE} Next: ")


@pytest.mark.parametrize(
    ("table", "got", "next_step"),
    [
        ("0", "[]", WHOLE),
        (f"[{TABLE}]", "[1, 2, 2, 3]", "give the table these sizes, as table.reshape(layers, devices, slots) does"),
        ("np.zeros([1] * 20, int)", str([1] * 8), WHOLE),
        ("np.zeros((2000, 2, 3), int)", "[2000, 2, 3]", WHOLE),
    ],
)
def test_a_table_of_another_shape_is_refused(tmp_path: Path, table: str, got: str, next_step: str) -> None:
    text = message(tmp_path, answering(f"True, [0], {table}, None"))
    assert text == f"{CALL}: deployment_table has the wrong shape. Got: {got}. {TABLE_SHAPE}{next_step}."


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("[[0, 1, -1], [2, 3, 0]]", f"an expert id is out of range. Got: -1 on device 0, slot 2. {RANGE}"),
        ("[[0, 1, 3], [2, 3, 4]]", f"an expert id is out of range. Got: 4 on device 1, slot 2. {RANGE}"),
        ("[[0, 1, 1], [0, 2, 2]]", f"an expert has no slot. Got: expert 3 is missing. {NO_SLOT}"),
        ("[[1, 1, 1], [1, 1, 1]]", f"an expert has no slot. Got: expert 0 is missing and 2 more. {NO_SLOT}"),
    ],
)
def test_a_listed_layer_that_breaks_a_rule_is_named(row: str, expected: str) -> None:
    text = told(f"True, [0, 1], [[[0, 1, 1], [2, 3, 3]], {row}], None")
    assert text == f"{CALL}, layer 1: {expected}"


def test_an_id_beyond_int64_is_out_of_range_and_not_wrapped(tmp_path: Path) -> None:
    # 2**64 - 4 would be a valid id -4 + 4 if it were wrapped around.
    table = f"np.where(np.array({TABLE}) == 3, np.uint64(2**64 - 4), np.array({TABLE}, 'u8'))"
    text = message(tmp_path, answering(f"True, [1], {table}, None"))
    assert text == f"{CALL}, layer 1: an expert id is out of range. Got: {2**63 - 1} on device 1, slot 1. {RANGE}"


def test_layers_that_are_not_listed_may_hold_anything(tmp_path: Path) -> None:
    write_policy(tmp_path, answering("True, [0], [[[0, 1, 3], [2, 3, 0]], [[99, -1, 0], [0, 0, 0]]], None"))
    row = run_policy(tmp_path).row
    assert (row["status"], row["transmit_amount"]) == ("ok", 2)


def test_a_later_call_is_named_by_its_number_and_iteration(tmp_path: Path) -> None:
    source = f"""
    class Policy:
        def __init__(self, case): pass
        def rebalance(self, hotness, deployment, iteration):
            return ([0] if iteration < 9 else [5]), {TABLE}
    """
    assert message(tmp_path, source) == (
        f"Small/one ep 2, call 2 (iteration 9): layers_priority names a layer that does not exist. "
        f"Got: 5. {LAYER_RANGE}"
    )
