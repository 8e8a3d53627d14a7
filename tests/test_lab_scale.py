"""Large traces: whole requests as a sample, layers side by side, generated and dealt out one at a time."""

from __future__ import annotations

import argparse
import os
import signal
from itertools import pairwise

import numpy as np
import pytest

from lab.commands.scale import layer_numbers, open_trace
from lab.traces.batches import Batches
from lab.traces.generators import GENERATORS, Sample, drawn_lazily
from lab.traces.routing_trace import RoutingTrace
from lab.traces.side_by_side import side_by_side
from lab.traces.trace_file import save_trace
from placement.errors import Problem


def _trace(requests: list[int]) -> RoutingTrace:
    """Token i chose expert i."""
    tokens = len(requests)
    return RoutingTrace(tokens, (0,), np.arange(tokens)[None, :, None], np.array(requests), np.arange(tokens))


def test_a_sample_has_whole_requests_in_their_order_and_cuts_the_last() -> None:
    trace = _trace([4, 2, 4, 2, 9, 9, 7, 4])
    for seed in range(8):
        part = trace.sample(5, seed)
        assert part.tokens == 5 and part.choices[0, :, 0].tolist() == sorted(part.choices[0, :, 0].tolist())
        assert part.origins.tolist() == part.choices[0, :, 0].tolist()
        whole = [
            np.sum(part.requests == name) == np.sum(trace.requests == name) for name in set(part.requests.tolist())
        ]
        assert whole.count(False) <= 1
    assert len({tuple(trace.sample(5, seed).requests.tolist()) for seed in range(8)}) > 1
    assert trace.sample(8, 0) is trace


def test_a_cut_request_keeps_its_first_tokens() -> None:
    assert _trace([3] * 6).sample(2, 0).choices[0, :, 0].tolist() == [0, 1]


@pytest.mark.parametrize("jobs", [1, 2])
def test_work_side_by_side_comes_back_in_order_and_may_be_any_function(jobs: int) -> None:
    here, added = os.getpid(), 10
    assert side_by_side(lambda layer: (layer + added, os.getpid() == here), 3, jobs) == [
        (10 + layer, jobs == 1) for layer in range(3)
    ]

    def refused(layer: int) -> None:
        raise Problem("wrong", "this", "that", "mend it", f"layer {layer}")

    with pytest.raises(Problem, match=r"^layer 0: wrong\. Got: this\. Expected: that\. Next: mend it\.$"):
        side_by_side(refused, 3, jobs)


def test_a_process_that_is_ended_from_outside_is_told_in_a_sentence() -> None:
    with pytest.raises(Problem) as told:
        side_by_side(lambda layer: os.kill(os.getpid(), signal.SIGKILL), 3, 2)
    assert str(told.value) == (
        "a process that worked on a layer was ended from outside. Got: no result with --jobs 2. "
        "Expected: memory for a layer in each process. Next: use a smaller --jobs."
    )


@pytest.mark.parametrize("kind", GENERATORS)
def test_layers_drawn_one_at_a_time_are_those_drawn_together(kind: str) -> None:
    sample = Sample(200, 32, 4, layers=3, seed=5)
    together, lazily = GENERATORS[kind](sample), drawn_lazily(kind, sample)
    assert (np.asarray(lazily.choices) == together.choices).all()
    assert lazily.layers == together.layers and (lazily.requests == together.requests).all()


def test_counts_in_groups_are_those_of_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    starts = np.array([0, 3, 10, 11, 30, 40])
    made = [rng.permuted(np.tile(np.arange(6), (40, 1)), axis=1)[:, :2], np.zeros(40, int), starts]
    load = [np.bincount(made[0][a:b].ravel(), minlength=6).tolist() for a, b in pairwise(starts)]
    seen: dict[tuple[int, int], int] = {}
    before = np.zeros((40, 2), int)
    for token in range(40):
        for choice, expert in enumerate(made[0][token]):
            key = (int(np.searchsorted(starts, token, "right")), int(expert))
            before[token, choice] = seen.get(key, 0)
            seen[key] = before[token, choice] + 1
    for group in (1, 8, 1000):
        monkeypatch.setattr("lab.traces.batches.GROUP", group)
        batches = Batches(6, *made)
        assert batches.load.tolist() == load and (batches.occurrence == before).all()


def test_a_command_says_that_it_samples(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    save_trace(tmp_path / "t", _trace([1, 1, 2, 2]))
    options = {"command": "plan", "trace": tmp_path / "t", "seed": 0}
    assert open_trace(argparse.Namespace(tokens=3, **options)).tokens == 3
    assert capsys.readouterr().out == "plan: 3 of 4 tokens, whole requests drawn with seed 0 (--tokens)\n"
    for tokens in (None, 4, 5):
        assert open_trace(argparse.Namespace(tokens=tokens, **options)).tokens == 4
    assert capsys.readouterr().out == ""
    for wrong in ({"tokens": 0}, {"tokens": 1, "jobs": 0}):
        with pytest.raises(Problem, match=r"is too small. Got: 0. Expected: 1 or more"):
            open_trace(argparse.Namespace(**options, **wrong))


def test_layers_are_given_as_numbers_and_spans() -> None:
    assert layer_numbers("3-5") == (3, 4, 5) and layer_numbers("0,4-5, 9") == (0, 4, 5, 9)
    for wrong, words in (
        ("", "'' is not a layer; expected numbers as 3-60 or 0,4,5"),
        ("3-", "'3-' is not a layer"),
        ("-3", "'-3' is not a layer"),
        ("1.5", "'1.5' is not a layer"),
        ("True", "'True' is not a layer"),
        ("5-3", "'5-3' ends before it begins"),
        ("3,2-4", "'3,2-4' names a layer twice"),
    ):
        with pytest.raises(argparse.ArgumentTypeError, match=words):
            layer_numbers(wrong)
