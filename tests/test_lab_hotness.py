"""Hotness counted from routing, routing dealt from hotness, and files that the kit reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from lab.traces.generators import Sample, zipf
from lab.traces.hotness import check_dealt, dealt_layer, hotness_of, write_hotness
from lab.traces.routing_trace import RoutingTrace
from placement.errors import OrganizerError
from placement.trace import trace_sha256
from placement.traces.files import open_trace


def test_every_batch_is_an_iteration_and_the_last_may_be_smaller() -> None:
    choices = np.array([[[0, 1], [1, 2], [0, 2]], [[2, 1], [0, 1], [1, 0]]])
    trace = RoutingTrace(3, (0, 1), choices, np.zeros(3, int), origins=np.array([0, 40, 2]))
    hotness = hotness_of(trace, 2)
    assert hotness.dtype == np.int32
    assert hotness.tolist() == [[[1, 2, 1], [1, 2, 1]], [[1, 0, 1], [1, 1, 0]]]


def test_a_seed_shuffles_tokens_and_keeps_their_counts() -> None:
    trace = zipf(Sample(1000, 16, 4, layers=2))
    plain, mixed = hotness_of(trace, 100), hotness_of(trace, 100, seed=1)
    assert (plain != mixed).any() and (plain.sum(axis=0) == mixed.sum(axis=0)).all()


def test_dealt_routing_counts_to_the_hotness_again() -> None:
    hotness = hotness_of(zipf(Sample(1050, 32, 4, layers=3)), 100)
    check_dealt(hotness, 4)
    for number in range(3):
        layer = dealt_layer(hotness, number, 4, seed=0)
        assert (layer.load == hotness[:, number]).all()
        assert np.diff(layer.starts).tolist() == [100] * 10 + [50]
        assert (np.diff(np.sort(layer.choices, axis=1), axis=1) > 0).all()
        assert layer.origins.min() == 0 and layer.origins.max() == 15


@pytest.mark.parametrize("seed", range(30))
def test_any_counts_that_routing_can_have_are_dealt(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tokens, k, experts = int(rng.integers(1, 12)), int(rng.integers(1, 5)), 6
    choices = np.stack([rng.permutation(experts)[:k] for _ in range(tokens)])
    counts = np.bincount(choices.ravel(), minlength=experts)
    layer = dealt_layer(counts[None, None], 0, k, seed)
    assert (layer.load[0] == counts).all()
    assert (np.diff(np.sort(layer.choices, axis=1), axis=1) > 0).all()


def test_layers_of_an_iteration_may_differ_in_their_tokens() -> None:
    hotness = np.array([[[2, 1, 1], [3, 3, 2]], [[1, 1, 0], [1, 0, 1]]])
    layers = [dealt_layer(hotness, number, 2, seed=0) for number in (0, 1)]
    assert [layer.starts.tolist() for layer in layers] == [[0, 2, 3], [0, 4, 5]]


def test_the_same_seed_deals_the_same() -> None:
    hotness = hotness_of(zipf(Sample(200, 32, 4)), 100)
    first, again, other = (dealt_layer(hotness, 0, 4, seed) for seed in (1, 1, 2))
    assert (first.choices == again.choices).all() and (first.choices != other.choices).any()


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([2, 1, 0, 0], "iteration 0, layer 0: the total is 3; expected a multiple of k = 2"),
        ([0, 0, 0, 0], "the total is 0"),
        ([3, 1, 0, 0], "more choices of an expert than tokens: 3; expected at most one choice per token"),
        ([-1, 1, 1, 1], "the least count is -1"),
        ([0.5, 0.5, 0.5, 0.5], "expected integers"),
    ],
)
def test_hotness_that_no_routing_counts_to_is_refused(counts: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_dealt(np.array([[counts]]), 2)


def test_written_hotness_is_opened_by_the_competition_with_its_manifest(tmp_path: Path) -> None:
    hotness = hotness_of(zipf(Sample(1000, 32, 4, layers=3)), 100)
    path = write_hotness(tmp_path, "M/zipf", hotness, "zipf, seed 0")
    assert path == tmp_path / "M" / "zipf.npy" and (np.load(path) == hotness).all()
    manifest = yaml.safe_load((tmp_path / "manifest.yaml").read_text(encoding="utf-8"))
    trace = open_trace(tmp_path, "M", "zipf", manifest)
    assert trace.sha256 == trace_sha256(hotness) == manifest["traces"]["M/zipf"]["sha256"]
    assert (trace.window(0, 10) == np.maximum(hotness, 1)).all()
    assert manifest["traces"]["M/zipf"]["origin"] == "counted from routing: zipf, seed 0; not a recording"


def test_other_entries_of_the_manifest_stay_and_counted_ones_are_replaced(tmp_path: Path) -> None:
    hotness = hotness_of(zipf(Sample(100, 8, 2)), 50)
    write_hotness(tmp_path, "M/first", hotness)
    write_hotness(tmp_path, "M/second", hotness)
    write_hotness(tmp_path, "M/first", hotness + 1)
    manifest = yaml.safe_load((tmp_path / "manifest.yaml").read_text(encoding="utf-8"))
    assert list(manifest["traces"]) == ["M/first", "M/second"]
    assert (open_trace(tmp_path, "M", "first", manifest).window(0, 2) == hotness + 1).all()


def test_a_trace_that_was_not_counted_here_is_not_replaced(tmp_path: Path) -> None:
    hotness = np.ones((4, 1, 8), np.int32)
    (tmp_path / "M").mkdir()
    np.save(tmp_path / "M" / "mine.npy", hotness)
    with pytest.raises(OrganizerError, match="trace M/mine: a file of this name may be a recording"):
        write_hotness(tmp_path, "M/mine", hotness)


@pytest.mark.parametrize(("model", "dataset"), [("..", "d"), ("M", "a/b"), ("", "d"), ("M", "a\\b"), ("M", ".d")])
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path: Path, model: str, dataset: str) -> None:
    with pytest.raises(OrganizerError, match="hotness: a trace has no plain name"):
        write_hotness(tmp_path, f"{model}/{dataset}", np.ones((4, 1, 8), np.int32))
    assert not list(tmp_path.iterdir())


def test_what_is_no_hotness_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OrganizerError, match="values are not integers"):
        write_hotness(tmp_path, "M/d", np.ones((4, 1, 8)))
    with pytest.raises(OrganizerError, match="wrong shape"):
        write_hotness(tmp_path, "M/d", np.ones((4, 8), int))
    (tmp_path / "manifest.yaml").write_text("[]", encoding="utf-8")
    with pytest.raises(OrganizerError, match="manifest: the manifest has the wrong form"):
        write_hotness(tmp_path, "M/d", np.ones((4, 1, 8), int))
