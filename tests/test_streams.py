"""The champion beside two studies on streams of recorded requests: paired, kept, and judged by standard errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import judge
from commands.frame import RunFailed
from judging import streams
from judging.streams import (
    BASELINE,
    CHAMPION,
    RIVALS,
    STREAMS,
    Material,
    comparison,
    measure_all,
    paired,
    read_material,
)
from judging.streams import verdict as verdict_of
from placement.errors import OrganizerError
from submissions import DECLINES, grid_mapping, write_policy

PLANS = """
from placement.ds_eplb import ds_eplb
def rebalance(hotness, n_device, n_red_expert):
    table = ds_eplb(hotness.sum(axis=0), n_device, n_red_expert)
    return True, range(len(table)), table, None
"""
STAYS = f"\n{DECLINES}"
FILES = ("requests.npz", "topics.yaml", "grid.yaml")
ITERATIONS = 60


@pytest.fixture(autouse=True)
def _kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "KEPT", tmp_path / "kept")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Requests of two topics that choose among four experts of two layers; how they are grouped; a grid of one case."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(2, 9, 40)
    liked = np.repeat(rng.integers(0, 2, 40), lengths)
    choices = np.stack([2 * liked + rng.integers(0, 2, len(liked)), rng.integers(0, 4, len(liked))], axis=1)
    paths = [tmp_path / name for name in FILES]
    labels = np.array(["law", "maths"])[liked[np.cumsum(lengths) - 1]]
    np.savez(paths[0], topk=choices[:, :, None].astype(np.uint8), length=lengths, category=labels)
    paths[1].write_text("society: [law]\n", encoding="utf-8")
    sizes = {"models": {"Tiny": {"layers": 2, "experts": 4}}, "window": 8}
    grid = grid_mapping() | sizes | {"cases": [{"model": "Tiny", "dataset": "x", "ep": [2]}]}
    paths[2].write_text(yaml.safe_dump(grid), encoding="utf-8")
    return paths


@pytest.fixture
def material(files: list[Path]) -> Material:
    return read_material(*files, ITERATIONS)


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    sources = {BASELINE: PLANS, CHAMPION: STAYS, "kernel forecast": PLANS, "return hedge": STAYS}
    return {name: write_policy(tmp_path / "policies" / name, f"# {name}{source}") for name, source in sources.items()}


def test_ds_eplb_scores_100_and_every_policy_meets_the_same_stream(
    material: Material, folders: dict[str, Path]
) -> None:
    scores = measure_all(material, folders, ["drifting", "stationary"], [1, 2], lambda line: None)
    table = scores.pivot(index=["stream", "ep", "seed"], columns="policy", values="score")
    assert list(table.index) == [(stream, 2, seed) for stream in ("drifting", "stationary") for seed in (1, 2)]
    assert (table[[BASELINE, "kernel forecast"]] == 100).all(axis=None)
    assert (table[CHAMPION] == table["return hedge"]).all() and table[CHAMPION].nunique() == 4


def test_what_was_measured_is_kept_until_policy_or_stream_changes(
    material: Material, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []

    def measure(material: Material) -> pd.DataFrame:
        return measure_all(material, folders, ["drifting"], [1], lines.append)

    first = measure(material)
    assert measure(material).equals(first)
    write_policy(folders[CHAMPION], PLANS + "# changed")
    assert not measure(material).equals(first)
    measure(material._replace(iterations=ITERATIONS + 1))
    measure(material._replace(sha256=("another", "file")))
    monkeypatch.setitem(streams.STREAMS, "drifting", STREAMS["stationary"])
    measure(material)
    counts = [(4, 0), (0, 4), (1, 3), (4, 0), (4, 0), (4, 0)]
    assert lines == [f"drifting, seed 1: {new} measured, {old} kept from an earlier run" for new, old in counts]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"status": "ok"}', '{"status": "crashed", "mean_par": 1.5}'])
def test_a_damaged_unit_is_measured_again(material: Material, folders: dict[str, Path], content: str) -> None:
    lines: list[str] = []
    one = {BASELINE: folders[BASELINE]}
    first = measure_all(material, one, ["drifting"], [1], lines.append)
    [unit] = streams.KEPT.iterdir()
    unit.write_text(content, encoding="utf-8")
    assert measure_all(material, one, ["drifting"], [1], lines.append).equals(first)
    assert lines[1] == "drifting, seed 1: 1 measured, 0 kept from an earlier run"


def test_a_policy_that_fails_is_named_with_its_stream(material: Material, tmp_path: Path) -> None:
    broken = {BASELINE: write_policy(tmp_path / "broken", "def rebalance(a, b, c):\n    raise ValueError('x')\n")}
    with pytest.raises(RunFailed, match="ds_eplb: Tiny/drifting ep 2, call 1 "):
        measure_all(material, broken, ["drifting"], [1], lambda line: None)


def test_requests_of_another_model_are_refused(material: Material, folders: dict[str, Path]) -> None:
    other = material._replace(cases=(replace(material.cases[0], layers=3),))
    with pytest.raises(OrganizerError, match="the trace does not fit its model"):
        measure_all(other, folders, ["drifting"], [1], lambda line: None)


def scores_of(champion: list[float], forecast: list[float], hedge: list[float]) -> pd.DataFrame:
    """Scores of one cell, by seed and policy."""
    return pd.DataFrame({CHAMPION: champion, "kernel forecast": forecast, "return hedge": hedge})


def test_differences_are_paired_and_have_the_standard_error_of_their_mean() -> None:
    cell = scores_of([101.0, 111.0], [100.0, 112.0], [90.0, 90.0])
    # +1 and -1: standard deviation 2 ** .5, over 2 ** .5 for the mean of two.
    assert paired(cell, "kernel forecast") == pytest.approx((0.0, 1.0))


@pytest.mark.parametrize(
    ("champion", "verdict"),
    [
        ([101.0, 111.0], "above"),
        # -.5 and -1.5: a mean of -1, an error of .5.
        ([99.5, 110.5], "below"),
        # +1 and -2.
        ([101.0, 110.0], "within one error"),
        ([101.0], "one seed"),
    ],
)
def test_the_champion_is_judged_against_the_better_of_both(champion: list[float], verdict: str) -> None:
    better, worse = [100.0, 112.0][: len(champion)], [50.0, 50.0][: len(champion)]
    assert verdict_of(scores_of(champion, better, worse)) == verdict
    assert verdict_of(scores_of(champion, worse, better)) == verdict


def test_the_table_has_a_row_for_each_stream_at_each_ep_in_order() -> None:
    cell = {CHAMPION: (101.0, 110.0), "kernel forecast": (100.0, 112.0), "return hedge": (90.0, 90.0)}
    rows = [
        {"stream": stream, "ep": 8, "seed": seed, "policy": policy, "score": scores[seed]}
        for stream in ("switching at random", "drifting")
        for policy, scores in cell.items()
        for seed in (0, 1)
    ]
    lines = comparison(pd.DataFrame(rows)).splitlines()
    assert lines[0].startswith("| stream | ep | seeds | champion | kernel forecast | return hedge | champion less ")
    values = "8 | 2 | 105.50 | 106.00 | 90.00 | -0.50 (1.50) | +15.50 (4.50) | within one error |"
    assert lines[2:] == [f"| switching at random | {values}", f"| drifting | {values}"]


def test_the_command_measures_the_gallerys_champion_and_both_studies(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    requests, topics, grid = map(str, files)
    options = ["--topics", topics, "--grid", grid, "--iterations", str(ITERATIONS), "--seeds", "1", "--streams"]
    assert judge.main(["requests", requests, *options, "drifting"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "drifting, seed 1: 4 measured, 0 kept from an earlier run"
    assert out[-1].startswith("| drifting | 2 | 1 | ") and out[-1].endswith(" | one seed |")
    assert len(RIVALS) == 2
    assert judge.main(["requests", str(tmp_path / "none.npz"), *options, "drifting"]) == 2
