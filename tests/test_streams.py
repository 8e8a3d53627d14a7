"""The champion beside two studies on streams of recorded requests: paired, kept, and judged by standard errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import judge
from judging.board import Row
from judging.families import composed_traces
from judging.streams import CHAMPION, RIVALS, comparison, paired
from judging.streams import verdict as verdict_of
from submissions import grid_mapping, write_policy

ITERATIONS = 60
FILES = ("requests.npz", "topics.yaml", "grid.yaml")
BROKEN = "def rebalance(a, b, c):\n    raise ValueError('x')\n"


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
        Row("requests", seed, policy, f"M/{stream} ep 8", "M", stream, 8, scores[seed], 1.5, 10, 0.25, "digits")
        for stream in ("switching-random", "drifting")
        for policy, scores in cell.items()
        for seed in (0, 1)
    ]
    lines = comparison(rows).splitlines()
    assert lines[0].startswith("| stream | ep | seeds | champion | kernel forecast | return hedge | champion less ")
    values = "8 | 2 | 105.50 | 106.00 | 90.00 | -0.50 (1.50) | +15.50 (4.50) | within one error |"
    assert lines[2:] == [f"| switching-random | {values}", f"| drifting | {values}"]


@pytest.fixture
def command(files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(judge, "UNITS", tmp_path / "units")
    requests, topics, grid = map(str, files)
    options = ["--topics", topics, "--grid", grid, "--iterations", str(ITERATIONS), "--seeds", "1"]
    return ["requests", requests, *options, "--streams", "drifting"]


def test_the_command_measures_champion_and_studies_on_one_stream_and_keeps_that(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge.main(command) == 0
    *progress, title, _, row = capsys.readouterr().out.splitlines()
    assert progress[0].startswith("  draws Tiny/drifting, ")
    assert sorted(line.split(": ")[0].strip() for line in progress[1:-1]) == sorted([CHAMPION, *RIVALS])
    assert progress[-1] == "[1/1] requests, seed 1, Tiny/drifting: finished"
    assert row.startswith("| drifting | 2 | 1 | ") and row.endswith(" | one seed |")
    assert judge.main(command) == 0
    assert capsys.readouterr().out.splitlines() == [progress[-1], title, _, row]


def test_a_policy_that_fails_is_named_with_its_stream(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def written(folder: Path) -> dict[str, Path]:
        return {name: write_policy(folder / name, BROKEN) for name in (CHAMPION, *RIVALS)}

    monkeypatch.setattr(judge, "write_policies", written)
    assert judge.main(command) == 2
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.count("requests, seed 1, Tiny/drifting: Tiny/drifting ep 2") == 3 and last.count("ValueError: x") == 3


@pytest.mark.parametrize(("content", "reason"), [({}, "grid"), ({"window": 0}, "window is not valid")])
def test_a_grid_that_cannot_be_used_is_named(
    command: list[str], files: list[Path], capsys: pytest.CaptureFixture[str], content: dict, reason: str
) -> None:
    whole = yaml.safe_load(files[2].read_text(encoding="utf-8"))
    files[2].write_text(yaml.safe_dump(content and whole | content), encoding="utf-8")
    assert judge.main(command) == 2
    assert reason in capsys.readouterr().out


def test_a_stream_has_the_cases_of_the_grid_s_first_trace(files: list[Path]) -> None:
    requests, topics, grid = files
    cases = [{"model": "Tiny", "dataset": "x", "ep": [2], "redundant_experts": 0}]
    cases += [{"model": "Tiny", "dataset": "x", "ep": [4]}]
    grid.write_text(yaml.safe_dump(yaml.safe_load(grid.read_text(encoding="utf-8")) | {"cases": cases}))
    traces = composed_traces(requests, [3], grid, topics, ["drifting", "stationary"], ITERATIONS)
    assert [trace.name for trace in traces] == ["Tiny/stationary", "Tiny/drifting"]
    assert [trace.new.seed for trace in traces] == [3000, 3001]
    found = [(case.dataset, case.ep, case.redundant_experts) for trace in traces for case in trace.grid.cases]
    assert found == [(name, *sizes) for name in ("stationary", "drifting") for sizes in ((2, 0), (4, 4))]


def test_a_file_that_is_not_there_is_named(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge.main(["requests", str(tmp_path / "none.npz"), *command[2:]]) == 2
    assert f"{tmp_path / 'none.npz'}" in capsys.readouterr().out
