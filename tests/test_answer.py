"""What replay says about an answer that breaks a rule: where, what was got, what was expected, what next."""

import numpy as np
import pytest

from cases import A0, Answers, B, P, make_case, redeploy, steady_trace
from placement.answer import invalid
from placement.errors import PolicyError
from placement.isolation.reading import as_integers
from placement.replay import replay

SHAPE = "[layer, device, slot]"


def table_with(device, slot, expert, layer=1):
    """The live table with another expert in one slot."""
    table = np.array([A0, A0])
    table[layer, device, slot] = expert
    return table


FLOATS = "make the values integers: .astype(int) converts, // divides into integers"
BOOLEANS = "return numbers instead of True and False; np.flatnonzero(mask) turns a mask into numbers"
INTEGERS = "return a list or an array of integers"
PART = "divide this map [layer, slot] (such as phy2log) among the devices: table.reshape(layers, devices, slots)"
BROKEN = {
    "too many layers": (
        redeploy([0, 1, 0], [B, B]),
        "layers_priority lists too many layers. Got: 3. Expected: at most 2, each layer once. "
        "Next: list each layer to redeploy once.",
    ),
    "too few layers in the table": (
        redeploy([0], [B]),
        "deployment_table has the wrong shape. Got: [1, 2, 3]. Expected: [2, 2, 3] [layer, device, slot]. "
        "Next: return the whole table, with every layer.",
    ),
    "no device axis": (
        redeploy([0], [[0, 1, 2, 3]] * 2),
        "deployment_table has the wrong shape. Got: [2, 4]. Expected: [2, 2, 3] [layer, device, slot]. "
        f"Next: give every layer 6 slots, then {PART}.",
    ),
    "a flat map of slots": (
        redeploy([0], [[0, 1, 2, 3, 0, 1]] * 2),
        f"deployment_table has the wrong shape. Got: [2, 6]. Expected: [2, 2, 3] [layer, device, slot]. Next: {PART}.",
    ),
    "one layer alone, of as many devices as there are layers": (
        redeploy([0], B),
        "deployment_table has the wrong shape. Got: [2, 3]. Expected: [2, 2, 3] [layer, device, slot]. "
        "Next: return the whole table, with every layer.",
    ),
    "devices of another ep": (
        redeploy([0], [[[0, 1], [2, 3], [0, 1], [2, 3]]] * 2),
        "deployment_table has the wrong shape. Got: [2, 4, 2]. Expected: [2, 2, 3] [layer, device, slot]. "
        "Next: take the number of devices from case.devices or n_device; the number differs between cases.",
    ),
    "an empty table": (
        redeploy([0], []),
        "deployment_table has the wrong shape. Got: [0]. Expected: [2, 2, 3] [layer, device, slot]. "
        "Next: return the whole table, with every layer.",
    ),
    "a negative layer": (
        redeploy([1, -1], [B, B]),
        "layers_priority names a layer that does not exist. Got: -1. Expected: 0 .. 1. "
        "Next: list layers by their index in the deployment table, counted from 0.",
    ),
    "a layer beyond the last": (
        redeploy([0, 2], [B, B]),
        "layers_priority names a layer that does not exist. Got: 2. Expected: 0 .. 1. "
        "Next: list layers by their index in the deployment table, counted from 0.",
    ),
    "a layer twice": (
        redeploy([1, 1], [B, B]),
        "layers_priority lists a layer twice. Got: layer 1 2 times. Expected: each layer at most once. "
        "Next: remove the repeated layer.",
    ),
    "a negative expert": (
        redeploy([0, 1], table_with(0, 2, -1)),
        "layer 1: an expert id is out of range. Got: -1 on device 0, slot 2. Expected: 0 .. 3. "
        "Next: put a logical expert id, counted from 0, into every slot; no slot stays empty.",
    ),
    "an expert beyond the last": (
        redeploy([1], table_with(1, 0, 4)),
        "layer 1: an expert id is out of range. Got: 4 on device 1, slot 0. Expected: 0 .. 3. "
        "Next: put a logical expert id, counted from 0, into every slot; no slot stays empty.",
    ),
    "a missing expert": (
        redeploy([0, 1], table_with(0, 0, 3)),
        "layer 1: an expert has no slot. Got: expert 0 is missing. "
        "Expected: each of the 4 experts in at least one of 6 slots. "
        "Next: give every expert a slot, or leave the layer out of layers_priority.",
    ),
    "several missing experts": (
        redeploy([0], [[[2, 2, 2], [2, 2, 2]], A0]),
        "layer 0: an expert has no slot. Got: expert 0 is missing and 2 more. "
        "Expected: each of the 4 experts in at least one of 6 slots. "
        "Next: give every expert a slot, or leave the layer out of layers_priority.",
    ),
}


def place_and_text(place, text):
    """The text with an outer place before it: `place, layer 1: ...` or `place: ...`."""
    return f"{place}, {text}" if text.startswith("layer ") else f"{place}: {text}"


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_told_with_its_call_and_iteration(name):
    answer, text = BROKEN[name]
    with pytest.raises(PolicyError) as caught:
        replay(steady_trace(), make_case(), Answers(answer))
    assert str(caught.value) == place_and_text("call 1 (iteration 4)", text)
    assert caught.value.status == "invalid_answer"


def test_calls_are_counted_over_the_case():
    answer, text = BROKEN["a layer twice"]
    with pytest.raises(PolicyError) as caught:
        replay(steady_trace(14), make_case(latency=1), Answers(redeploy([1, 0], [B, P]), answer))
    assert str(caught.value) == place_and_text("call 2 (iteration 11)", text)


def test_an_answer_that_could_no_longer_be_applied_is_still_checked():
    answer, _ = BROKEN["a missing expert"]
    with pytest.raises(PolicyError, match=r"^call 2 \(iteration 8\), layer 1: an expert has no slot"):
        replay(steady_trace(8), make_case(), Answers(None, answer))


def test_an_empty_priority_makes_the_table_irrelevant():
    result = replay(steady_trace(8), make_case(), Answers(redeploy([], [9]), (np.empty(0, np.int64), None)))
    assert result.calls == [4, 8] and result.applications == []


def test_a_problem_of_the_policys_process_gets_the_same_place():
    def fail(start, stop, deployment, iteration):
        raise PolicyError("timeout", "the policy took too long", "11 s", "10 s", "make the policy faster")

    with pytest.raises(PolicyError) as caught:
        replay(steady_trace(), make_case(), fail)
    assert caught.value.status == "timeout"
    assert str(caught.value) == (
        "call 1 (iteration 4): the policy took too long. Got: 11 s. Expected: 10 s. Next: make the policy faster."
    )


def test_other_exceptions_pass_unchanged():
    def fail(start, stop, deployment, iteration):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        replay(steady_trace(), make_case(), fail)


# Integers


@pytest.mark.parametrize(
    "value",
    [[[0, 1], [2, 3]], ((0, 1), (2, 3)), np.array([[0, 1], [2, 3]], np.uint8), np.array([[0, 1], [2, 3]], ">i4")],
)
def test_lists_and_arrays_of_integers_are_read_as_int64(value):
    read = as_integers(value, "deployment_table", SHAPE)
    assert read.dtype == np.dtype(np.int64) and read.tolist() == [[0, 1], [2, 3]]


def test_an_empty_list_is_an_empty_array():
    read = as_integers([], "layers_priority", "[n]")
    assert read.dtype == np.int64 and read.shape == (0,)


def test_integers_too_large_for_int64_stay_out_of_range():
    assert as_integers(np.array([2**64 - 1, 5], np.uint64), "deployment_table", SHAPE).tolist() == [2**63 - 1, 5]


@pytest.mark.parametrize(
    ("value", "got", "next_step"),
    [
        ([0.0, 1.0], "list of dtype float64", FLOATS),
        (np.array([0, 1], np.float32), "ndarray of dtype float32", FLOATS),
        (np.array([True]), "ndarray of dtype bool", BOOLEANS),
        ([True, False], "list of dtype bool", BOOLEANS),
        ([0, True], "a list that holds a boolean", BOOLEANS),
        ([[0, 1], [np.True_, 2]], "a list that holds a boolean", BOOLEANS),
        ([np.array([0, 1]), np.array([True, False])], "a list that holds a boolean", BOOLEANS),
        ([[0, 1], [2]], "a ragged list", "make every row equally long"),
        ([2**70], "list of dtype object", INTEGERS),
        (None, "None", INTEGERS),
        ("01", "str", INTEGERS),
        ({0: 1}, "dict", INTEGERS),
    ],
)
def test_anything_else_is_refused(value, got, next_step):
    with pytest.raises(PolicyError) as caught:
        as_integers(value, "deployment_table", SHAPE)
    assert caught.value.status == "invalid_answer"
    assert str(caught.value) == (
        f"deployment_table is not made of integers. Got: {got}. Expected: integers [layer, device, slot]. "
        f"Next: {next_step}."
    )


def test_invalid_puts_the_place_first():
    assert str(invalid("w", "g", "e", "n", "layer 3")) == "layer 3: w. Got: g. Expected: e. Next: n."
