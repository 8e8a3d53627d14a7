"""What the lab imports: requests, batches and hotness become the folder of a trace, a request at a time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lab.traces.routing_trace import RoutingTrace
from lab.traces.sources import Wanted, import_source
from lab.traces.stacked_batches import read_stacked
from lab.traces.trace_file import load_trace
from lab_cases import ANCHORS, needs_anchors
from placement.errors import Problem

EXPERTS = 16


def _routed(tokens: int = 5, seed: int = 0) -> np.ndarray:
    """2 layers and 4 of 16 experts."""
    rng = np.random.default_rng(seed)
    return np.argsort(rng.random((tokens, 2, EXPERTS)), axis=2)[:, :, :4].astype(np.uint8)


ROUTED = _routed()


def _saved(path: Path, **changes: object) -> Path:
    """A request of 3 tokens of prompt and 2 of output, with some of its arrays replaced; None leaves one out."""
    arrays = {"request_id": 7, "prompt_token_ids": [0, 1, 2], "output_token_ids": [5, 6], "routed_experts": ROUTED}
    np.savez(path, **{key: value for key, value in {**arrays, **changes}.items() if value is not None})
    return path


def _imported(source: Path, folder: Path, experts: int = EXPERTS, **wanted: object) -> RoutingTrace:
    import_source(source, experts, Wanted(**wanted), folder / "out")
    return load_trace(folder / "out")


@pytest.mark.parametrize(("part", "tokens"), [("all", slice(0, 5)), ("prompt", slice(0, 3)), ("output", slice(3, 5))])
def test_a_part_has_the_tokens_of_prompt_or_output(tmp_path: Path, part: str, tokens: slice) -> None:
    trace = _imported(_saved(tmp_path / "r.npz"), tmp_path, part=part)
    assert np.asarray(trace.choices).tolist() == ROUTED[tokens].transpose(1, 0, 2).tolist()
    assert set(trace.requests.tolist()) == {7}


def test_a_folder_is_read_in_natural_order_and_to_a_limit(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, number in (("r10", 1), ("r9", 2), ("r11", 3)):
        _saved(
            tmp_path / "in" / f"{name}.npz",
            **{"request_id": number, "output_token_ids": [0], "prompt_token_ids": np.arange(number)},
            routed_experts=_routed(number, number),
        )
    assert _imported(tmp_path / "in", tmp_path).requests.tolist() == [2, 2, 1, 3, 3, 3]
    assert _imported(tmp_path / "in", tmp_path, max_requests=2).requests.tolist() == [2, 2, 1]


@pytest.mark.parametrize("names", [("x", 1), (4, 4)])
def test_requests_without_distinct_numbers_are_numbered(tmp_path: Path, names: tuple) -> None:
    (tmp_path / "in").mkdir()
    for index, name in enumerate(names):
        _saved(tmp_path / "in" / f"{index}.npz", request_id=name, routed_experts=np.roll(ROUTED, index, axis=0))
    assert _imported(tmp_path / "in", tmp_path).requests.tolist() == [0] * 5 + [1] * 5


def test_layers_are_selected_and_those_left_out_may_hold_anything(tmp_path: Path) -> None:
    routed = ROUTED.copy()
    routed[:, 0] = 3
    path = _saved(tmp_path / "r.npz", routed_experts=routed)
    trace = _imported(path, tmp_path, layers=(1,))
    assert trace.layers == (1,) and trace.choices[0].tolist() == routed[:, 1].tolist()
    with pytest.raises(Problem, match=r"r\.npz: a token has an expert twice\. Got: expert 3 twice at token 0, layer 0"):
        _imported(path, tmp_path)


def test_dense_layers_are_left_out_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    routed = np.concatenate([np.zeros((5, 3, 4), np.uint8), ROUTED], axis=1)
    notes = import_source(_saved(tmp_path / "r.npz", routed_experts=routed), EXPERTS, Wanted(), tmp_path / "out")
    assert load_trace(tmp_path / "out").layers == (3, 4)
    assert notes == ["dense layers left out: 0 .. 2 of 0 .. 4; 2 layers remain"]


def test_a_failure_leaves_an_older_trace_as_it_was(tmp_path: Path) -> None:
    _imported(_saved(tmp_path / "r.npz"), tmp_path)
    with pytest.raises(Problem, match=r"Got: \d+ at token 0, layer 0, choice \d \(from 0\)\. Expected: 0 \.\. 4"):
        _imported(tmp_path / "r.npz", tmp_path, experts=5)
    short = ROUTED.astype(int)
    short[4, 1, 2] = -1
    with pytest.raises(Problem, match=r"fewer experts than others. Got: no expert in a choice of token 4, layer 1"):
        _imported(_saved(tmp_path / "r.npz", routed_experts=short), tmp_path)
    assert load_trace(tmp_path / "out").tokens == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "r.npz"]


def test_arrays_that_are_not_needed_may_be_pickled_and_those_needed_only_if_allowed(tmp_path: Path) -> None:
    assert _imported(_saved(tmp_path / "r.npz", notes=np.array({"a": 1}, object)), tmp_path).tokens == 5
    boxed = np.empty((), object)
    boxed[()] = ROUTED
    path = _saved(tmp_path / "r.npz", routed_experts=boxed)
    with pytest.raises(Problem, match=r"r\.npz: the file holds pickled objects"):
        _imported(path, tmp_path)
    assert _imported(path, tmp_path, allow_pickle=True).tokens == 5


def test_an_array_is_hotness_where_its_last_axis_counts_every_expert(tmp_path: Path) -> None:
    np.save(tmp_path / "ids.npy", ROUTED)
    assert _imported(tmp_path / "ids.npy", tmp_path).tokens == 5
    # The same array counts tokens of a model of four experts.
    np.save(tmp_path / "hotness.npy", np.full((3, 2, 4), 6))
    trace = _imported(tmp_path / "hotness.npy", tmp_path, 4, top_k=2)
    assert trace.choices.shape == (2, 36, 2) and trace.requests.tolist() == [0] * 12 + [1] * 12 + [2] * 12
    with pytest.raises(
        Problem, match=r"cannot be dealt out. Got: iteration 0, layer 0: the total is 24; expected a mul"
    ):
        _imported(tmp_path / "hotness.npy", tmp_path, 4, top_k=7)
    np.save(tmp_path / "hotness.npy", np.full((2, 4), 6))
    with pytest.raises(Problem, match=r"frequencies name no tokens. .* Next: give the file to `plan` as it is"):
        _imported(tmp_path / "hotness.npy", tmp_path, 4)


def test_what_an_earlier_version_wrote_is_imported_and_opened_as_it_is(tmp_path: Path) -> None:
    choices = ROUTED.transpose(1, 0, 2).astype(np.uint16)
    old = {
        "experts": np.array(16),
        "layers": np.array([3, 5]),
        "choices": choices,
        "requests": np.array([4, 4, 9, 9, 9]),
    }
    np.savez(tmp_path / "old.npz", **old)
    for trace in (load_trace(tmp_path / "old.npz"), _imported(tmp_path / "old.npz", tmp_path)):
        assert trace.layers == (3, 5) and np.asarray(trace.choices).tolist() == choices.tolist()


def test_a_trace_is_not_imported_again(tmp_path: Path) -> None:
    _imported(_saved(tmp_path / "r.npz"), tmp_path)
    with pytest.raises(Problem, match=r"the source is a trace already. .* Next: give the folder to the other commands"):
        _imported(tmp_path / "out", tmp_path)


def test_a_trace_keeps_the_labels_of_its_requests_and_is_imported_by_them(tmp_path: Path) -> None:
    arrays = {"topk": ROUTED, "length": [2, 1, 2], "category": ["law", "arts", "law"]}
    np.savez(tmp_path / "many.npz", **arrays)
    _imported(tmp_path / "many.npz", tmp_path)
    assert json.loads((tmp_path / "out" / "labels.json").read_text()) == {"0": "law", "1": "arts", "2": "law"}
    import_source(tmp_path / "out", EXPERTS, Wanted(domain="law", layers=(1,)), tmp_path / "law")
    law = load_trace(tmp_path / "law")
    assert law.requests.tolist() == [0, 0, 2, 2] and law.layers == (1,)
    assert law.choices[0].tolist() == ROUTED[[0, 1, 3, 4], 1].tolist()
    assert json.loads((tmp_path / "law" / "labels.json").read_text()) == {"0": "law", "2": "law"}
    for wanted, experts, words in [
        ({"domain": "maths"}, EXPERTS, r"out: no request has this label. Got: law, arts. Expected: 'maths'"),
        ({"domain": "law"}, 4, r"out: the trace has other experts. Got: --experts 4. Expected: the 16 of the trace"),
        ({"domain": "law", "part": "output"}, EXPERTS, "out: the prompt's length is not known"),
    ]:
        with pytest.raises(Problem, match=words):
            import_source(tmp_path / "out", experts, Wanted(**wanted), tmp_path / "law")


def test_labels_that_only_some_requests_have_are_left_out_with_a_note(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    np.savez(tmp_path / "in" / "1.npz", topk=ROUTED, length=[2, 3], category=["law", "arts"])
    np.savez(tmp_path / "in" / "2.npz", topk=ROUTED, length=[5])
    notes = import_source(tmp_path / "in", EXPERTS, Wanted(), tmp_path / "out")
    assert notes == ["labels left out: 1 of 3 requests have none"]
    assert load_trace(tmp_path / "out").requests.tolist() == [0, 0, 1, 1, 1] + [2] * 5
    assert not (tmp_path / "out" / "labels.json").exists()


def test_stacked_batches_are_read_with_their_origins(tmp_path: Path) -> None:
    choices = ROUTED.transpose(1, 0, 2)
    np.savez(tmp_path / "s.npz", topk_experts=choices, origin_rows=np.arange(10, dtype=np.uint8).reshape(2, 5))
    batches = read_stacked(tmp_path / "s.npz", EXPERTS)
    assert batches.starts.tolist() == [0, 5, 10] and batches.origins.tolist() == list(range(10))
    assert batches.choices.tolist() == choices.reshape(10, 4).tolist()
    trace = _imported(tmp_path / "s.npz", tmp_path)
    assert trace.origins.tolist() == list(range(10)) and trace.requests.tolist() == [0] * 5 + [1] * 5
    with pytest.raises(
        Problem, match=r"origin_rows is out of range\. Got: uint8, 0 \.\. 9\. Expected: integers in 0 .. 3"
    ):
        read_stacked(tmp_path / "s.npz", EXPERTS, rows=4)
    with pytest.raises(Problem, match="chose expert"):
        read_stacked(tmp_path / "s.npz", 8)
    np.savez(tmp_path / "s.npz", topk_experts=choices * 1.5, origin_rows=np.zeros((2, 5), int))
    with pytest.raises(Problem, match="the experts have dtype float64"):
        read_stacked(tmp_path / "s.npz", EXPERTS)
    np.savez(tmp_path / "s.npz", topk_experts=choices, origin_rows=np.zeros((2, 4), int))
    with pytest.raises(Problem, match="do not fit"):
        read_stacked(tmp_path / "s.npz", EXPERTS)


@needs_anchors
def test_the_published_routing_is_read(tmp_path: Path) -> None:
    trace = _imported(ANCHORS / "esft_dsv2lite_topk.npz", tmp_path, 64, domain="law")
    assert trace.choices.shape == (26, 8327, 6) and len(set(trace.requests.tolist())) == 33
    batches = read_stacked(ANCHORS / "routing_q.npz", 256)
    assert batches.count == 50 and batches.choices.shape == (51_200, 8) and batches.origins.max() == 15
