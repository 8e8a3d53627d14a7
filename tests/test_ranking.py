"""How well a grid ranks policies: the policies, their scores, which are kept, and the rank correlation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kit
from commands.frame import RunFailed
from commands.policy_folder import staged
from commands.seeds import World
from judging import ranking
from judging.ranking import Entry, score_all, spearman, table
from judging.variants import STEPS, STUDIES, VARIANTS, tutorial_steps, write_policies
from kit_world import write_kit_world
from placement.submission.receipt import PACKAGE, policy_sha256, simulator_sha256
from submissions import DECLINES, ROOT, write_policy

CELLS = [
    "files = write('align.py', '\\ndef align(): pass\\n')",
    "write('align.py', '\\nA = 1\\n')\nwrite('policy.py', 'first')",
    "SPREAD = '\\nMEMORY = 0.0\\n'\nwrite('policy.py', 'second')\nfor m in (0, 1):\n    write('spread.py', SPREAD)",
    "show(1)",
]


def _changed(name: str) -> Callable[[Path], str]:
    """simulator_sha256 as though a module of the named package had changed."""
    return lambda package=PACKAGE: simulator_sha256(package) + ("!" if package.name == name else "")


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_policies(tmp_path_factory.mktemp("policies"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A tiny grid with its traces and reference."""
    folder = write_kit_world(tmp_path_factory.mktemp("world"))
    return World(folder / "grid.yaml", folder / "traces", folder / "reference")


def test_each_cell_that_writes_the_policy_ends_a_step_with_all_that_was_written(tmp_path: Path) -> None:
    cells = [{"cell_type": "markdown", "source": ["write('policy.py', 'no code')"]}]
    cells += [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in CELLS]
    (tmp_path / "n.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    first = {"align.py": "A = 1\n", "policy.py": "first"}
    assert tutorial_steps(tmp_path / "n.ipynb") == [
        first,
        first | {"policy.py": "second", "spread.py": "MEMORY = 0.0\n"},
    ]


def test_the_policies_are_gallery_template_tutorial_variants_and_studies(policies: dict[str, Path]) -> None:
    gallery = sorted(path.parent.name for path in ROOT.glob("starting_kit/policies/*/policy.py"))
    assert list(policies) == ["template", *gallery, *STEPS, *VARIANTS, *STUDIES]
    template = {path.name: path.read_bytes() for path in policies["template"].iterdir()}
    assert template == {"policy.py": (ROOT / "starting_kit" / "policy.py").read_bytes()}
    with staged(ROOT / "starting_kit" / "policies" / "champion") as packed:
        assert policy_sha256(policies["champion"]) == policy_sha256(packed)
    assert json.loads((policies["once, hedge"] / "parameters.json").read_text()) == VARIANTS["once, hedge"]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_plans_what_the_simulator_accepts(policies: dict[str, Path], world: World, name: str) -> None:
    frame = kit.run(policies[name], world.grid, world.traces, world.reference)
    assert (frame["calls"] > 1).all() and (frame["status"] == "ok").all()
    answered = frame["redeployed_layers"] > 0
    assert answered.any() if VARIANTS[name].get("gate") else answered.all()


def test_a_score_is_kept_until_policy_or_grid_changes(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "KEPT", tmp_path)
    policy, lines = {"still": write_policy(tmp_path / "still", DECLINES)}, []
    first = score_all(policy, {"sample": world}, 1, lines.append)
    assert 0 < first.loc["still", "sample"] < 100
    assert [line.split(": ")[0] for line in lines] == ["still, sample"]
    assert score_all(policy, {"sample": world}, 1, lines.append).equals(first) and len(lines) == 1
    write_policy(tmp_path / "still", DECLINES + "# changed\n")
    score_all(policy, {"sample": world}, 1, lines.append)
    assert len(lines) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"score": null}', '{"policy": "still"}'])
def test_a_damaged_score_is_measured_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setattr(ranking, "KEPT", tmp_path)
    monkeypatch.setattr(ranking, "_score", lambda entry, jobs, show: 51.5)
    policy = {"still": write_policy(tmp_path / "still", DECLINES)}
    first = score_all(policy, {"sample": world}, 1, print)
    [kept] = (tmp_path / "scores").iterdir()
    whole = kept.read_text(encoding="utf-8")
    kept.write_text(content, encoding="utf-8")
    assert score_all(policy, {"sample": world}, 1, print).equals(first)
    assert kept.read_text(encoding="utf-8") == whole


def test_a_kept_score_is_one_simulators_one_scorers_and_one_numpys(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = Entry("still", write_policy(tmp_path / "still", DECLINES), "practice", world)
    on_sample = entry._replace(grid="sample")
    names, samples = [ranking._identity(entry)], [ranking._identity(on_sample)]
    monkeypatch.setitem(ranking.LIKE_OFFICIAL, "DS-R1/Mix", 5)
    names.append(ranking._identity(entry))
    # The estimate is the practice grid's alone.
    assert ranking._identity(on_sample) == samples[0]
    monkeypatch.setattr(np, "__version__", "0.0")
    names.append(ranking._identity(entry))
    for changed in ("placement", "scores"):
        monkeypatch.setattr(ranking, "simulator_sha256", _changed(changed))
        names.append(ranking._identity(entry))
    assert len(set(names)) == len(names)


def test_a_policy_that_fails_is_named(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "KEPT", tmp_path)
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
