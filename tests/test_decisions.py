"""The log of decisions: what it keeps of a replay, that it plays the replay back, and what is said of a broken one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cases import NONSENSE, Answers, B, C, P, make_case, random_rows, random_sizes, redeploy, steady_trace
from placement.decisions import Decision, Sizes, pack, replay_decisions, unpack
from placement.errors import OrganizerError, PolicyError
from placement.evaluation.decision_log import read_decisions
from placement.evaluation.result_files import write_series
from placement.measuring import Application
from placement.replay import Replay, replay

AGAIN = "Next: replay the log with the window, the latency and a trace of the length that it was written with."
Arrays = dict[str, np.ndarray]


def example(latency: int = 0) -> Replay:
    """The worked example of the design: two calls, the first of which moves both layers."""
    answers = Answers(redeploy([1, 0], [B, P]), redeploy([0], [C, NONSENSE]))
    return replay(steady_trace(), make_case(latency=latency), answers)


def without_arrays(decision: Decision) -> tuple[Any, ...]:
    """A decision that can be compared."""
    moves = [(move.layer, move.slots.tolist(), move.experts.tolist()) for move in decision.moves]
    return decision.iteration, decision.layers, moves


def test_the_log_of_the_worked_example_holds_the_changed_slots_alone() -> None:
    arrays = pack(example())
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "sizes": [12, 2, 4, 2, 3],
        "calls": [4, 10],
        "listed": [2, 1],
        "layers": [1, 0, 0],
        "changed": [2, 3, 1],
        "slots": [[0b11000000], [0b00111000], [0b00001000]],
        "experts": [1, 0, 2, 0, 1, 3],
    }
    assert [arrays[name].dtype.str for name in arrays] == ["<i8", "|u1", "|u1", "|u1", "<i4", "|u1", "|u1"]
    sizes, decisions = unpack(arrays)
    assert sizes == Sizes(iterations=12, layers=2, experts=4, devices=2, slots=3)
    assert [without_arrays(decision) for decision in decisions] == [
        (4, (1, 0), [(1, [0, 1], [1, 0]), (0, [2, 3, 4], [2, 0, 1])]),
        (10, (0,), [(0, [4], [3])]),
    ]


def test_a_declined_call_and_one_that_the_end_cuts_off_stand_in_the_log() -> None:
    answers = Answers(None, redeploy([1, 0], [B, P]))
    decisions = unpack(pack(replay(steady_trace(9), make_case(), answers)))[1]
    assert [without_arrays(decision) for decision in decisions] == [
        (4, (), []),
        (8, (1, 0), [(1, [0, 1], [1, 0])]),
    ]


def plain(application: Application) -> dict[str, Any]:
    """An application that can be compared."""
    return vars(application) | {"rows": application.rows.tolist()}


def assert_same(first: Replay, second: Replay) -> None:
    """Two replays that measured the same from the same decisions."""
    assert first.par.tobytes() == second.par.tobytes()
    assert (first.calls, first.priorities) == (second.calls, second.priorities)
    assert list(map(plain, first.applications)) == list(map(plain, second.applications))


@pytest.mark.parametrize("latency", [0, 2])
def test_played_back_the_example_measures_the_same(latency: int) -> None:
    measured = example(latency)
    again = replay_decisions(steady_trace(), make_case(latency=latency), unpack(pack(measured))[1])
    assert_same(measured, again)


def test_whatever_is_decided_plays_back_to_the_same_replay() -> None:
    rng = np.random.default_rng(7)
    for _ in range(40):
        experts, redundant, devices = random_sizes(rng)
        layers, iterations = int(rng.integers(1, 4)), int(rng.integers(5, 40))
        case = make_case(layers, experts, devices, 3, int(rng.integers(0, 3)), redundant=redundant)

        def answer(*_: Any, layers: int = layers, sizes: tuple[int, int, int] = (experts, devices, redundant)) -> Any:
            order = rng.permutation(layers)[: rng.integers(0, layers + 1)]
            return redeploy(order, [random_rows(rng, *sizes) for _ in range(layers)]) if rng.random() < 0.8 else None

        trace = steady_trace(iterations, layers, range(experts))
        measured = replay(trace, case, answer)
        assert_same(measured, replay_decisions(trace, case, unpack(pack(measured))[1]))


def test_ids_beyond_a_byte_take_two() -> None:
    case = make_case(1, 300, 2)
    rows = random_rows(np.random.default_rng(0), 300, 2)
    arrays = pack(replay(steady_trace(7, 1, range(300)), case, Answers(redeploy([0], [rows]))))
    assert arrays["experts"].dtype.str == "<u2"
    assert unpack(arrays)[1][0].moves[0].experts.max() == 299


# A log that does not fit


def other_calls(call: int, got: str, expected: str) -> str:
    """What is said of it."""
    return f"call {call}: the log of decisions has other calls. Got: {got}. Expected: {expected}. {AGAIN}"


def test_a_log_with_other_calls_than_the_replay_is_refused_with_the_call() -> None:
    decisions = unpack(pack(example()))[1]
    for iterations, case, told in (
        (12, make_case(window=4), other_calls(1, "iteration 4", "a call at iteration 5")),
        (14, make_case(), other_calls(3, "no further call", "a call at iteration 14")),
        (9, make_case(), other_calls(2, "iteration 10", "no further call")),
    ):
        # The second call lists one layer, so the third is due at 15.
        trace = steady_trace(iterations + (iterations == 14))
        with pytest.raises(OrganizerError) as refused:
            replay_decisions(trace, case, decisions)
        assert str(refused.value) == told.replace("iteration 14", "iteration 15")


def test_a_wrong_slot_that_takes_an_expert_s_last_is_told_with_its_place() -> None:
    arrays = pack(example())
    arrays["experts"][2] = 3
    with pytest.raises(PolicyError) as refused:
        replay_decisions(steady_trace(), make_case(), unpack(arrays)[1])
    told = "call 1 (iteration 4), layer 0: an expert has no slot. Got: expert 2 is missing."
    assert str(refused.value).startswith(told)


def changed(**arrays: Any) -> Callable[[Arrays], Arrays]:
    """The arrays with others in their place."""
    return lambda old: old | {name: np.asarray(values) for name, values in arrays.items()}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda old: {name: old[name] for name in old if name != "slots"}, "no array slots"),
        (changed(calls=[4.0, 10.0]), "calls is float64 [2]"),
        (changed(slots=[1, 2, 3]), "slots is int64 [3]"),
        (changed(sizes=[12, 2, 4, 2]), "sizes are [12, 2, 4, 2]"),
        (changed(sizes=[12, 2, 4, 0, 3]), "sizes are [12, 2, 4, 0, 3]"),
        (changed(calls=[4]), "listed has length 2, not 1"),
        (changed(listed=[2, 2]), "layers has length 3, not 4"),
        (changed(changed=[2, 3]), "changed has length 2, not 3"),
        (changed(changed=[2, 3, -1]), "slots has length [3, 1], not [2, 1]"),
        (changed(changed=[2, 3, 2]), "experts has length 6, not 7"),
        (changed(changed=[2, 2, 2]), "slots and changed differ at applied layer 1"),
        # Six slots: the byte's last bit is nobody's.
        (changed(slots=[[0b10000001], [0b01010100], [0b00001000]]), "slots and changed differ at applied layer 0"),
        (changed(layers=[1, 2, 0]), "layers hold 0 .. 2, not 0 .. 1"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(change: Callable[[Arrays], Arrays], text: str) -> None:
    with pytest.raises(ValueError, match=rf"^{re.escape(text)}$"):
        unpack(change(pack(example())))


# The file


def write_log(folder: Path, number: int = 1, **changes: Any) -> Path:
    """A run's decisions.npz with the worked example."""
    arrays = {f"M/d/2/{name}": array for name, array in (pack(example()) | changes).items()}
    write_series(folder / "decisions.npz", {"format": np.array(number), **arrays})
    return folder


def test_the_decisions_of_a_case_are_read_from_a_run_s_folder(tmp_path: Path) -> None:
    sizes, decisions = read_decisions(write_log(tmp_path), "M/d/2")
    assert sizes.iterations == 12
    assert_same(example(), replay_decisions(steady_trace(), make_case(), decisions))


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (
            lambda folder: folder,
            "there is no log of decisions. Got: no such file. Expected: a file that the ingestion program wrote. Next: "
            "name the folder of a run; kits that wrote results.json of format 3 or less wrote no such file.",
        ),
        (
            lambda folder: write_log(folder, 2),
            "the log of decisions has the wrong format. Got: format 2. Expected: format 1. "
            "Next: use the kit that the run was made with, or run the policy again.",
        ),
        (
            lambda folder: write_log(folder, calls=np.array([4])),
            "the log of decisions cannot be read. Got: ValueError: listed has length 2, not 1. Expected: a file that "
            "the ingestion program wrote. Next: copy the file again from where the run wrote it.",
        ),
        (
            lambda folder: (folder / "decisions.npz").write_bytes(b"PK\x03\x04broken"),
            "the log of decisions cannot be read. Got: BadZipFile: File is not a zip file. Expected: a file that the "
            "ingestion program wrote. Next: copy the file again from where the run wrote it.",
        ),
    ],
)
def test_a_file_that_holds_no_log_is_refused(tmp_path: Path, write: Callable[[Path], Any], told: str) -> None:
    write(tmp_path)
    with pytest.raises(OrganizerError) as refused:
        read_decisions(tmp_path, "M/d/2")
    assert str(refused.value) == f"{tmp_path / 'decisions.npz'}: {told}"


def test_a_case_that_failed_or_was_not_run_has_no_decisions(tmp_path: Path) -> None:
    with pytest.raises(OrganizerError) as refused:
        read_decisions(write_log(tmp_path), "M/d/4")
    assert str(refused.value) == (
        f"{tmp_path / 'decisions.npz'}: the log of decisions does not hold the case. Got: no M/d/4. "
        "Expected: an entry: only cases that are ok have one. Next: name a case of the run that is ok."
    )
