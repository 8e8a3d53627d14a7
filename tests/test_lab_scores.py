"""What a router gave the experts: kept in traces, read from records and batches, refused where it cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lab.commands.main import main
from lab.traces.generators import Sample, top, zipf
from lab.traces.routing_trace import RoutingTrace
from lab.traces.sources import Wanted, import_source
from lab.traces.trace_file import load_trace, save_trace
from placement.errors import Problem

CHOICES = np.array([[[0, 1], [2, 0], [1, 2]]])
SCORES = np.array([[[0.5, 0.3, 0.2], [0.4, 0.1, 0.5], [0.1, 0.6, 0.3]]])
WEIGHTS = np.array([[[0.625, 0.375], [0.5, 0.4], [0.6, 0.3]]])
TRACE = RoutingTrace(3, (4,), CHOICES, np.array([7, 7, 9]), None, SCORES, WEIGHTS)


def test_generated_scores_are_kept_in_full_and_their_top_k_are_the_choices(tmp_path: Path, capsys) -> None:
    words = ["generate", "zipf", "--tokens", "3000", "--experts", "32", "--top-k", "4", "--layers", "2"]
    for name, more in (("with", ["--scores"]), ("without", [])):
        assert main([*words, *more, "--output", str(tmp_path / name)]) == 0
    trace, plain = load_trace(tmp_path / "with"), load_trace(tmp_path / "without")
    for layer in (0, 1):
        assert trace.scores[layer].dtype == np.float32
        assert (top(trace.scores[layer], 4) == trace.choices[layer]).all()
        assert (plain.choices[layer] == trace.choices[layer]).all()
    assert plain.scores is None and plain.weights is None


def test_scores_and_weights_are_read_as_they_were_written(tmp_path: Path) -> None:
    save_trace(tmp_path / "t", TRACE)
    again = load_trace(tmp_path / "t")
    assert (np.asarray(again.scores) == np.float32(SCORES)).all() and again.scores.shape == (1, 3, 3)
    assert (np.asarray(again.weights) == np.float32(WEIGHTS)).all()
    save_trace(tmp_path / "u", RoutingTrace(3, (4,), CHOICES, TRACE.requests, None, SCORES / 2, WEIGHTS))
    assert (tmp_path / "t" / "trace.json").read_text() != (tmp_path / "u" / "trace.json").read_text()


def test_parts_of_a_trace_keep_their_tokens_scores(tmp_path: Path) -> None:
    save_trace(tmp_path / "t", TRACE)
    for trace in (TRACE, load_trace(tmp_path / "t")):
        part = trace.select((4,)).taken(np.array([2, 0]))
        assert (np.asarray(part.scores) == np.float32(SCORES[:, [2, 0]])).all()
        assert (np.asarray(part.weights) == np.float32(WEIGHTS[:, [2, 0]])).all()
    sample = zipf(Sample(640, 16, 2, scores=True)).sample(128, seed=3)
    assert (top(sample.scores[0], 2) == sample.choices[0]).all() and sample.tokens == 128


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("scores", np.full((1, 3, 3), -0.1), "scores are -0.1 .. -0.1; expected finite numbers from 0"),
        ("weights", np.full((1, 3, 2), np.nan), "weights are nan .. nan; expected finite numbers from 0"),
        ("scores", np.full((1, 3, 3), 1e39), "scores are inf .. inf; expected finite numbers from 0"),
        ("weights", np.ones((1, 3, 3)), r"weights have the shape \[1, 3, 3\]; expected \[1, 3, 2\]"),
    ],
)
def test_scores_that_are_none_are_refused(name: str, values: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RoutingTrace(3, (4,), CHOICES, np.zeros(3, int), **{name: values})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            -np.ones((3, 3), np.float32),
            "t/scores_004.npy: scores are out of range. Got: -1.0 .. -1.0. Expected: fi",
        ),
        (
            np.ones((3, 3), int),
            r"t/scores_004.npy: the array has the wrong form. Got: int64 \[3, 3\]. Expected: floats",
        ),
        (np.ones((3, 2)), r"t/scores_004.npy: the array has the wrong form. Got: float64 \[3, 2\]. Expected: floats"),
    ],
)
def test_a_file_of_scores_that_is_not_right_is_named(values: np.ndarray, words: str, tmp_path: Path) -> None:
    save_trace(tmp_path / "t", TRACE)
    np.save(tmp_path / "t" / "scores_004.npy", values)
    with pytest.raises(Problem, match=words):
        np.asarray(load_trace(tmp_path / "t").scores)


def _record(batch: int, tokens: slice, **fields: object) -> dict[str, object]:
    return {"layer": 4, "batch_id": batch, "topk_experts": CHOICES[0, tokens].tolist(), **fields}


def test_records_bring_scores_and_weights_where_all_have_them(tmp_path: Path) -> None:
    whole = [
        _record(batch, part, scores=SCORES[0, part].tolist(), topk_weights=WEIGHTS[0, part].tolist())
        for batch, part in ((0, slice(2)), (1, slice(2, 3)))
    ]
    for left_out, kept in (((), ("scores", "weights")), (("scores",), ("weights",)), (("topk_weights",), ("scores",))):
        lines = [whole[0], {key: value for key, value in whole[1].items() if key not in left_out}]
        (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, lines)))
        import_source(tmp_path / "r.jsonl", 3, Wanted(), tmp_path / "t")
        trace = load_trace(tmp_path / "t")
        assert tuple(name for name in ("scores", "weights") if getattr(trace, name) is not None) == kept
        for name, values in (("scores", SCORES), ("weights", WEIGHTS)):
            assert name not in kept or (np.asarray(getattr(trace, name)) == np.float32(values)).all()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"scores": WEIGHTS[0].tolist()},
            r"scores has the wrong form. Got: shape \[3, 2\]. Expected: numbers \[3, 3\]",
        ),
        ({"scores": [[1], "a"]}, "scores has the wrong form"),
        ({"topk_weights": [[-1, 0]] * 3}, "topk_weights are out of range. Got: -1 .. 0. Expected: finite numbers from"),
    ],
)
def test_a_record_with_other_scores_is_refused(fields: dict, words: str, tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text(json.dumps(_record(0, slice(3), **fields)))
    with pytest.raises(Problem, match=f"line 1: {words}"):
        import_source(tmp_path / "r.jsonl", 3, Wanted(), tmp_path / "t")


def test_batches_in_an_npz_bring_scores_and_weights(tmp_path: Path) -> None:
    arrays = {"topk_experts": CHOICES, "origin_rows": np.zeros((1, 3), int)}
    np.savez(tmp_path / "b.npz", **arrays, scores=SCORES, topk_weights=WEIGHTS)
    import_source(tmp_path / "b.npz", 3, Wanted(), tmp_path / "t")
    trace = load_trace(tmp_path / "t")
    assert (np.asarray(trace.scores) == np.float32(SCORES)).all()
    assert (np.asarray(trace.weights) == np.float32(WEIGHTS)).all()
    for wrong, words in (
        (WEIGHTS, r"scores has the wrong form. Got: float64 \[1, 3, 2\]. Expected: floats \[1, 3, 3\]"),
        (-SCORES, "the trace is not right. Got: scores are -0.6 .. -0.1; expected finite numbers from 0"),
    ):
        np.savez(tmp_path / "b.npz", **arrays, scores=wrong)
        with pytest.raises(Problem, match=words):
            import_source(tmp_path / "b.npz", 3, Wanted(), tmp_path / "t")
