"""Routing traces: what they refuse, and how an epoch is cut into batches."""

from __future__ import annotations

import numpy as np
import pytest

from lab.traces.routing_trace import RoutingTrace, wrong_choice


def _trace(tokens: int = 10, **changes: object) -> RoutingTrace:
    """Token i chose experts 2i and 2i + 1 in layer 3, and the same in reverse in layer 5, so that ids name tokens."""
    ids = np.arange(2 * tokens).reshape(tokens, 2)
    values = {
        "experts": 2 * tokens,
        "layers": (3, 5),
        "choices": np.stack([ids, ids[:, ::-1]]),
        "requests": np.arange(tokens) // 4,
    }
    return RoutingTrace(**{**values, **changes})


def test_arrays_of_any_integer_dtype_become_those_of_the_type() -> None:
    trace = _trace(choices=np.arange(40, dtype=np.uint8).reshape(2, 10, 2) % 20)
    assert (trace.choices.dtype, trace.requests.dtype, trace.tokens) == (np.int32, np.int64, 10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": (3,)}, r"shape \[2, 10, 2\]; expected \[1 layers"),
        ({"layers": (3, 3)}, "not distinct"),
        ({"choices": np.zeros((2, 10), int)}, r"shape \[2, 10\]"),
        ({"choices": np.zeros((2, 0, 2), int)}, "none of them 0"),
        ({"choices": np.zeros((2, 10, 2), int)}, "layer 3: token 0 chose expert 0 twice"),
        ({"choices": np.zeros((2, 10, 2))}, "layer 3: the experts have dtype float64; expected integers"),
        ({"experts": 19}, r"layer 3: token 9 chose expert 19; expected 0 \.\. 18"),
        ({"requests": np.zeros(9, int)}, r"requests have the shape \[9\]; expected \[10\]"),
        ({"origins": np.full(10, -1)}, "origin row -1 is below 0"),
        ({"scores": np.zeros((2, 10, 3))}, r"scores have the shape \[2, 10, 3\]; expected \[2, 10, 20\]"),
    ],
)
def test_a_malformed_trace_is_refused_with_what_was_got(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _trace(**changes)


def test_a_negative_expert_and_a_late_token_are_named() -> None:
    choices = np.tile(np.arange(3), (70_000, 1))
    choices[69_000, 1] = -2
    assert wrong_choice(choices, 3) == ("token 69000 chose expert -2", "0 .. 2")


def test_batches_without_a_seed_keep_the_order_and_the_last_may_be_smaller() -> None:
    batches = _trace().batches(0, 4, rows=3)
    assert batches.starts.tolist() == [0, 4, 8, 10]
    assert batches.choices.tolist() == _trace().choices[0].tolist()
    assert batches.origins.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]


def test_tokens_that_fill_the_batches_leave_no_empty_one() -> None:
    assert _trace(8).batches(0, 4).starts.tolist() == [0, 4, 8]
    assert _trace(3).batches(0, 100).starts.tolist() == [0, 3]


def test_every_token_comes_once_per_shuffled_epoch_and_the_same_seed_gives_the_same_batches() -> None:
    trace = _trace(100)
    first, again, other = (trace.batches(0, 16, seed=seed) for seed in (7, 7, 8))
    assert sorted(first.choices[:, 0].tolist()) == list(range(0, 200, 2))
    assert (first.choices == again.choices).all() and (first.origins == again.origins).all()
    assert (first.choices != other.choices).any()


def test_a_shuffled_batch_mixes_requests() -> None:
    trace = _trace(100)
    batches = trace.batches(0, 20, seed=0)
    requests = trace.requests[batches.choices[:, 0] // 2]
    assert all(len(set(requests[first : first + 20].tolist())) > 8 for first in batches.starts[:-1])


def test_all_layers_are_shuffled_alike() -> None:
    trace = _trace(50)
    first, second = (trace.batches(layer, 16, seed=1) for layer in (0, 1))
    assert (first.choices == second.choices[:, ::-1]).all() and (first.origins == second.origins).all()


def test_origins_of_the_trace_stay_with_their_tokens() -> None:
    batches = _trace(100, origins=np.arange(100) % 16).batches(0, 16, seed=3)
    assert (batches.origins == batches.choices[:, 0] // 2 % 16).all()


def test_drawn_origins_are_uniform_and_belong_to_the_token_not_to_its_place() -> None:
    trace = RoutingTrace(2, (0,), np.zeros((1, 16_000, 1), int), np.zeros(16_000, int))
    count = np.bincount(trace.batches(0, 512, rows=16, seed=0).origins, minlength=16)
    assert len(count) == 16 and abs(count - 1000).max() < 150


@pytest.mark.parametrize(("tokens", "rows"), [(0, 16), (4, 0)])
def test_sizes_below_one_are_refused(tokens: int, rows: int) -> None:
    with pytest.raises(ValueError, match="expected at least 1 of each"):
        _trace().batches(0, tokens, rows)


def test_origins_outside_the_grid_are_refused() -> None:
    with pytest.raises(ValueError, match=r"origin row 9; expected 0 \.\. 3"):
        _trace(origins=np.arange(10)).batches(0, 4, rows=4)


def test_layers_can_be_selected() -> None:
    trace = _trace(origins=np.arange(10))
    assert trace.select((5,)).choices.tolist() == trace.choices[1:].tolist()
    with pytest.raises(ValueError, match=r"no layers \[4\] in the trace; it has \[3, 5\]"):
        trace.select((4,))
