"""A policy's results on a trace: kept, not run again, and run again for whatever may change them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import kit
from commands import units
from commands.frame import RunFailed
from commands.seeds import World
from commands.units import is_kept, run_kept
from kit_world import write_kit_world
from placement.evaluation import versions as stated
from scores.comparison import read_reference
from submissions import DECLINES, write_policy
from sweeps import libraries

SHIFTS = """
    import numpy as np

    class Policy:
        def __init__(self, case):
            self.layers = case.layers

        def rebalance(self, hotness, deployment, iteration):
            return range(self.layers), np.roll(deployment, 1, axis=2)
"""
# Fails on the larger of the two models only.
HALF = (
    "def rebalance(hotness, n, r):\n    assert hotness.shape[2] == 4, 'too many'\n    return False, None, None, None\n"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_kit_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def kept(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The units of a policy that declines."""
    folder = tmp_path_factory.mktemp("kept")
    policy = write_policy(folder / "policy", DECLINES)
    run_kept(policy, World(made / "grid.yaml", made / "traces", made / "reference"), folder / "units", 1)
    return folder / "units"


@pytest.fixture
def world(made: Path, tmp_path: Path) -> World:
    """A copy of the tiny grid of two traces with its reference."""
    folder = Path(shutil.copytree(made, tmp_path / "world"))
    return World(folder / "grid.yaml", folder / "traces", folder / "reference")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """The traces of each run of the ingestion program."""
    runs: list[list[str]] = []
    ingest = units.ingest

    def noted(submission: Path, grid: Path, *rest: Any) -> str:
        runs.append([f"{row['model']}/{row['dataset']}" for row in yaml.safe_load(grid.read_text())["cases"]])
        return ingest(submission, grid, *rest)

    monkeypatch.setattr(units, "ingest", noted)
    return runs


def test_a_finished_unit_is_not_run_again_and_gives_the_same_table(world: World, tmp_path: Path, ran) -> None:
    policy = write_policy(tmp_path / "policy", SHIFTS)
    first = run_kept(policy, world, tmp_path / "units", 1)
    assert ran == [["Small/one", "Large/two"]]
    assert run_kept(policy, world, tmp_path / "units", 1).equals(first) and len(ran) == 1
    plain = kit.run(policy, world.grid, world.traces, world.reference)
    timed = ["policy_seconds", "slowest_call_seconds"]
    assert first.drop(columns=timed).equals(plain.drop(columns=timed))
    assert first.attrs == plain.attrs
    # The place of a policy makes no difference, nor does a trace that is gone.
    shutil.rmtree(world.traces)
    copy = Path(shutil.copytree(policy, tmp_path / "elsewhere"))
    assert run_kept(copy, world, tmp_path / "units", 1).equals(first) and len(ran) == 1


def _other_policy(policy: Path, world: World, patch: pytest.MonkeyPatch) -> None:
    (policy / "policy.py").write_text((policy / "policy.py").read_text() + "# changed\n")


def _other_data(policy: Path, world: World, patch: pytest.MonkeyPatch) -> None:
    (policy / "weights.json").write_text("[]")


def _other_cost(policy: Path, world: World, patch: pytest.MonkeyPatch) -> None:
    content = yaml.safe_load(world.grid.read_text())
    content["limits"]["call_seconds"] += 1
    world.grid.write_text(yaml.safe_dump(content))


def _other_simulator(policy: Path, world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(units, "simulator_sha256", lambda: "another")


def _other_numpy(policy: Path, world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(stated.np, "__version__", "0.0")


def _other_scipy(policy: Path, world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(libraries, "version", lambda name: "0.0")


CHANGES = [_other_policy, _other_data, _other_cost, _other_simulator, _other_numpy, _other_scipy]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_may_change_a_result_runs_again(
    kept: Path, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change
) -> None:
    policy, stored = write_policy(tmp_path / "policy", DECLINES), read_reference(world.reference / "ds_eplb.json")
    assert is_kept(policy, world, stored, kept)
    change(policy, world, monkeypatch)
    assert not is_kept(policy, world, stored, kept)


def test_only_the_trace_that_is_another_is_run_again(world: World, tmp_path: Path) -> None:
    policy = write_policy(tmp_path / "policy", DECLINES)
    stored = read_reference(world.reference / "ds_eplb.json")
    run_kept(policy, world, tmp_path / "units", 1)
    assert is_kept(policy, world, stored, tmp_path / "units")
    stored["cases"][1]["trace_sha256"] = "another"
    assert not is_kept(policy, world, stored, tmp_path / "units")


def test_a_damaged_unit_is_run_again_and_the_others_are_not(world: World, tmp_path: Path, ran) -> None:
    policy = write_policy(tmp_path / "policy", DECLINES)
    first = run_kept(policy, world, tmp_path / "units", 1)
    files = {file.read_bytes().count(b"Large"): file for file in (tmp_path / "units").iterdir()}
    assert len(files) == 2
    files[max(files)].write_bytes(b"{")
    again = run_kept(policy, world, tmp_path / "units", 1)
    assert ran == [["Small/one", "Large/two"], ["Large/two"]]
    assert list(again["case_score"]) == list(first["case_score"])


def test_of_a_policy_that_fails_what_went_well_is_kept(world: World, tmp_path: Path, ran) -> None:
    policy = write_policy(tmp_path / "policy", HALF)
    for _ in range(2):
        with pytest.raises(RunFailed, match=r"^Large/two ep 8, .*too many") as caught:
            run_kept(policy, world, tmp_path / "units", 1)
        assert list(caught.value.rows["status"]) == ["ok", "crashed"]
    assert ran == [["Small/one", "Large/two"], ["Large/two"]]
