"""How well a grid ranks policies: the policies, their scores, which are kept, and the rank correlation."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from commands import units
from commands.frame import RunFailed
from commands.policy_folder import staged
from commands.seeds import World
from judging import ranking
from judging.ranking import patient, score_all, spearman, table
from judging.variants import BASELINE, STUDIES, VARIANTS, tutorial_steps, write_policies
from kit_world import write_kit_world
from placement.submission.receipt import policy_sha256
from submissions import DECLINES, ROOT, run_policy, write_policy

CELLS = [
    "def step(name, text): pass",
    "step('first', '\\nA = 1\\n')",
    "x = 1\nstep(\n    'second',\n    '\\nB = 2\\n',\n)\nother('third', 'text')",
    "show(1)",
]


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_policies(tmp_path_factory.mktemp("policies"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A tiny grid with its traces and reference."""
    folder = write_kit_world(tmp_path_factory.mktemp("world"))
    return World(folder / "grid.yaml", folder / "traces", folder / "reference")


def test_the_steps_are_read_from_the_notebook_by_their_names(tmp_path: Path) -> None:
    cells = [{"cell_type": "markdown", "source": ["step('policy.py', 'no code')"]}]
    cells += [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in CELLS]
    (tmp_path / "n.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    assert tutorial_steps(tmp_path / "n.ipynb") == {"first": "A = 1\n", "second": "B = 2\n"}


def test_the_policies_are_gallery_template_tutorial_variants_and_studies(policies: dict[str, Path]) -> None:
    gallery = sorted(path.parent.name for path in ROOT.glob("starting_kit/policies/*/policy.py"))
    steps = tutorial_steps(ROOT / "starting_kit" / "tutorial.ipynb").keys()
    assert BASELINE in steps
    own = [f"tutorial: {name}" for name in steps if name != BASELINE]
    assert list(policies) == ["template", *gallery, *own, *VARIANTS, *STUDIES]
    template = {path.name: path.read_bytes() for path in policies["template"].iterdir()}
    assert template == {"policy.py": (ROOT / "starting_kit" / "policy.py").read_bytes()}
    with staged(ROOT / "starting_kit" / "policies" / "champion") as packed:
        assert policy_sha256(policies["champion"]) == policy_sha256(packed)
    assert json.loads((policies["once, hedge"] / "parameters.json").read_text()) == VARIANTS["once, hedge"]


def test_a_written_policy_is_complete_in_itself(policies: dict[str, Path]) -> None:
    for folder in policies.values():
        with staged(folder) as packed:
            assert packed == folder
    assert (policies["switch"] / "planning" / "relabelling.py").is_file()


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_plans_what_the_simulator_accepts(policies: dict[str, Path], name: str) -> None:
    row = run_policy(policies[name]).row
    assert row["status"] == "ok" and row["calls"] > 1 and row["redeployed_layers"] > 0


def test_what_was_scored_is_not_run_again_until_policy_or_grid_changes(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "UNITS", tmp_path / "units")
    policy, lines, runs = {"still": write_policy(tmp_path / "still", DECLINES)}, [], []
    ingest = units.ingest
    monkeypatch.setattr(units, "ingest", lambda *arguments: runs.append(1) or ingest(*arguments))
    first = score_all(policy, {"sample": world}, 1, lines.append)
    assert 0 < first.loc["still", "sample"] < 100
    assert [line.split(": ")[0] for line in lines] == ["still, sample"]
    assert score_all(policy, {"sample": world}, 1, lines.append).equals(first) and len(runs) == 1
    write_policy(tmp_path / "still", DECLINES + "# changed\n")
    score_all(policy, {"sample": world}, 1, lines.append)
    assert len(runs) == 2


def test_limits_end_no_run() -> None:
    grid = {"name": "g", "limits": {"call_seconds": 10, "memory_bytes": 5}}
    assert patient(grid) == {"name": "g", "limits": {"call_seconds": 200, "memory_bytes": 5}}


def test_a_policy_that_fails_is_named(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "UNITS", tmp_path / "units")
    policy = {"broken": write_policy(tmp_path / "broken", "def rebalance(*arguments):\n    raise ValueError('x')\n")}
    with pytest.raises(RunFailed, match="broken on the sample grid: "):
        score_all(policy, {"sample": world}, 1, lambda line: None)


def test_the_rank_correlation_counts_ranks_and_shares_ties() -> None:
    scores = pd.DataFrame({"practice": [66.0, 100.0, 101.0, 112.0], "official": [67.0, 100.0, 99.0, 113.0]})
    # Two neighbours changed places: 1 - 6 * 2 / (4 * 15).
    assert spearman(scores, "practice", "official") == pytest.approx(0.8)
    tied = pd.DataFrame({"practice": [1.0, 2.0, 2.0], "official": [1.0, 2.0, 3.0]})
    # Ranks 1, 2.5, 2.5 and 1, 2, 3: covariance 1.5, sums of squares 1.5 and 2.
    assert spearman(tied, "practice", "official") == pytest.approx(1.5 / 3**0.5)


def test_the_table_begins_with_the_best_on_the_official_grid() -> None:
    scores = pd.DataFrame({"sample": [67.42, 88.69], "practice": [66.31, 91.88], "official": [66.72, 92.04]})
    scores.index = ["static", "template"]
    lines = table(scores).splitlines()
    assert lines[0] == "| policy | sample, composite_score | practice, official_estimate | official, composite_score |"
    assert lines[2:] == ["| template | 88.7 | 91.9 | 92.0 |", "| static | 67.4 | 66.3 | 66.7 |"]
