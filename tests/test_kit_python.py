"""The kit from Python: a run is a table, quiet, and fails with an exception."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import kit
from kit_world import write_kit_world
from scores.modeled_runtime import COLUMNS
from submissions import DECLINES, ROOT, write_policy

DS_EPLB = ROOT / "starting_kit" / "policies" / "ds_eplb"
NAMES = ["model", "dataset", "ep", "redundant_experts", "status", "case_score", "modeled_seconds", "par_vs_ds_eplb"]
NAMES += [
    "transmit_vs_ds_eplb",
    "mean_par",
    "transmit_amount",
    "calls",
    "redeployed_layers",
    "fixed_par",
    "roll_out_par",
    "roll_out_least_par",
    "par_p50",
    "par_p95",
    "par_p99",
]
NAMES += ["policy_seconds", "slowest_call_seconds"]
READS_A_PARAMETER = """
    import json
    declines = json.load(open("parameters.json"))["declines"]
    from placement.ds_eplb import ds_eplb
    def rebalance(hotness, n_device, n_red_expert):
        table = ds_eplb(hotness.sum(axis=0), n_device, n_red_expert)
        return not declines, range(len(table)), table, None
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of two cases with its traces and reference."""
    return write_kit_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def paths(world: Path) -> dict[str, Path]:
    """The tiny grid as arguments of `run`."""
    return {"grid": world / "grid.yaml", "traces": world / "traces", "reference": world / "reference"}


def test_a_run_is_one_row_per_case_with_the_leaderboard_beside_it(paths, capfd) -> None:
    frame = kit.run(DS_EPLB, **paths)
    assert list(frame.columns) == NAMES
    assert frame[["model", "ep"]].values.tolist() == [["Small", 4], ["Large", 8]]
    assert frame["case_score"].tolist() == pytest.approx([100, 100])
    assert set(frame.attrs) == set(COLUMNS) and frame.attrs["composite_score"] == 100
    assert frame.attrs["transmit_amount"] == frame["transmit_amount"].sum()
    assert capfd.readouterr() == ("", "")


def test_a_run_says_what_it_does_where_that_is_asked_for(paths, capfd) -> None:
    kit.run(DS_EPLB, **paths, verbose=True)
    assert "[2/2] " in capfd.readouterr().out


def test_the_command_prints_the_same_score(paths, tmp_path: Path, capfd) -> None:
    policy = write_policy(tmp_path / "policy", DECLINES)
    options = [text for name, path in paths.items() for text in (f"--{name}", str(path))]
    assert kit.main(["run", str(policy), *options, "--output", str(tmp_path / "output")]) == 0
    (score,) = [line for line in capfd.readouterr().out.splitlines() if line.startswith("composite_score: ")]
    frame = kit.run(str(policy), **{name: str(path) for name, path in paths.items()})
    assert score == f"composite_score: {frame.attrs['composite_score']:.4f}"
    stored = json.loads((tmp_path / "output" / "scoring" / "scores.json").read_text())
    assert stored == {name: frame.attrs[name] for name in COLUMNS}


def test_some_cases_have_no_composite_score(paths) -> None:
    frame = kit.run(DS_EPLB, **paths, cases=["Large/two ep 8"], jobs=1)
    assert frame["model"].tolist() == ["Large"] and frame.attrs == {"mean_case_score": 100}


def test_a_sweep_is_a_loop(paths, tmp_path: Path) -> None:
    folder, scores = write_policy(tmp_path, READS_A_PARAMETER), []
    for declines in (False, True):
        (folder / "parameters.json").write_text(json.dumps({"declines": declines}))
        scores.append(kit.run(folder, **paths).attrs["composite_score"])
    assert scores[0] == 100 != scores[1]


def test_a_failing_policy_raises_with_what_there_is_of_the_cases(paths, tmp_path: Path) -> None:
    source = DECLINES.replace("False", "hotness.shape[2] == 8 and 1 / 0")
    with pytest.raises(kit.RunFailed, match=r"^Large/two ep 8, call 1 \(iteration 4\): the policy raised ") as failed:
        kit.run(write_policy(tmp_path, source), **paths)
    assert failed.value.rows["status"].tolist() == ["ok", "crashed"]


def test_a_refused_submission_raises_with_the_platform_s_words(paths, tmp_path: Path) -> None:
    with pytest.raises(kit.RunFailed, match=r"^submission: the name json is Python's own\. "):
        kit.run(write_policy(tmp_path, DECLINES, {"json.py": ""}), **paths)


def test_a_folder_that_is_not_there_is_named_with_the_place_looked_in(paths) -> None:
    text = f"no policy was found. Got: no folder nowhere in {Path.cwd()}. "
    with pytest.raises(kit.UsageError, match="^" + re.escape(text)):
        kit.run("nowhere", **paths)
    with pytest.raises(kit.UsageError, match=r"^the grid tiny has no such case\. Got: Small/one:2\. "):
        kit.run(DS_EPLB, **paths, cases=["Small/one:2"])


@pytest.mark.guides
def test_the_guide_s_sweep_prints_a_score_for_each_parameter(tmp_path: Path) -> None:
    guide = (ROOT / "starting_kit" / "README.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    (tmp_path / "starting_kit").symlink_to(ROOT / "starting_kit")
    source = "import json\nassert json.load(open('parameters.json'))['threshold'] < 1\n" + DECLINES
    write_policy(tmp_path / "my_policy", source)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == "" and re.fullmatch(r"0\.5 (\d+\.\d+)\n0\.8 \1\n", done.stdout)
