"""Sweeps and comparisons on Dask, the extra `dask`: the same tables, also when a worker or the sweep dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import kit
from kit_world import write_kit_world
from placement.grid import Case, Cost
from submissions import DECLINES, ROOT, stored_hotness, write_policy
from sweeps import pool
from sweeps.job import Job, made_with, run_job
from sweeps.trace_file import trace_file

distributed = pytest.importorskip("distributed")

# Takes long enough for a worker to be killed in the middle.
BUSY = """
    import numpy as np
    POWER = 1

    def rebalance(hotness, n_device, n_red_expert):
        _, layers, experts = hotness.shape
        sum(number * number for number in range(2_000_000))
        row = np.roll(np.arange(experts + n_red_expert) % experts, POWER).reshape(n_device, -1)
        return True, range(layers), np.tile(row, (layers, 1, 1)), None
"""
SETTINGS: dict[str, Any] = {"ep": [2, 4], "window": [3], "parameters": {"power": [1, 2]}}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_kit_world(tmp_path_factory.mktemp("world"))
    write_policy(folder / "busy", BUSY)
    write_policy(folder / "declines", DECLINES)
    return folder


@pytest.fixture(scope="module")
def expected(world: Path) -> pd.DataFrame:
    """The table of processes."""
    return kit.sweep(world / "traces", world / "busy", output=world / "processes", **SETTINGS)


@pytest.fixture
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as made:
        yield made


def same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether all but the wall clock is equal, to the last digit."""
    return one.drop(columns="policy_seconds").equals(other.drop(columns="policy_seconds"))


def test_a_cluster_gives_the_table_of_processes_also_when_a_worker_is_killed(
    world: Path, expected: pd.DataFrame, cluster: Any, tmp_path: Path
) -> None:
    victims: list[int] = []

    def kill(line: str) -> None:
        if line.startswith("[") and not line.startswith("[0/") and not victims:
            victims.append(next(iter(cluster.workers.values())).pid)
            os.kill(victims[0], signal.SIGKILL)

    with distributed.Client(cluster) as client:
        executor = client.get_executor(pure=False)
        frame = kit.sweep(world / "traces", world / "busy", output=tmp_path, executor=executor, show=kill, **SETTINGS)
    assert victims and len(frame) == 8 and same(frame, expected)


def test_a_sweep_that_is_killed_and_started_again_gives_the_same_table(
    world: Path, expected: pd.DataFrame, tmp_path: Path
) -> None:
    command = [sys.executable, str(ROOT / "starting_kit" / "kit.py"), "sweep", str(world / "traces")]
    command += ["--policy", str(world / "busy"), "--ep", "2", "4", "--window", "3", "--parameter", "power=1,2"]
    command += ["--output", str(tmp_path), "--executor", "dask"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as program:
        next(line for line in program.stdout if line.startswith("[") and not line.startswith("[0/"))
        program.kill()
        program.stdout.read()
    again = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert " kept from an earlier sweep in " in again
    frame = pd.read_csv(tmp_path / "sweep.csv")
    expected.to_csv(tmp_path / "expected.csv", index=False)
    assert same(frame, pd.read_csv(tmp_path / "expected.csv"))


def test_a_comparison_on_a_cluster_is_that_of_processes(world: Path, cluster: Any, tmp_path: Path) -> None:
    paths = {"grid": world / "grid.yaml", "traces": world / "traces", "iterations": 14, "seeds": 2}
    policies = world / "busy", world / "declines"
    said: list[str] = []
    with distributed.Client(cluster) as client:
        executor = client.get_executor(pure=False)
        frame = kit.compare(*policies, **paths, output=tmp_path / "dask", executor=executor, show=said.append)
    assert sum(": 1 cases" in line for line in said) == 8
    assert frame.equals(kit.compare(*policies, **paths, output=tmp_path / "processes"))


def test_a_scheduler_that_does_not_answer_is_an_error(world: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("commands.executor.WAIT", "1s")
    arguments = ["sweep", str(world / "traces"), "--policy", str(world / "declines"), "--output", str(tmp_path)]
    with pytest.raises(SystemExit):
        kit.main([*arguments, "--executor", "dask", "--dask-address", "tcp://127.0.0.1:9"])
    assert "no scheduler of Dask answers. Got: tcp://127.0.0.1:9: " in capsys.readouterr().err


def test_a_worker_without_the_traces_folder_is_sent_the_trace(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    # Before the workers begin, which keep their copies there.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    trace = trace_file(world / "traces", "Small", "one")
    case = Case("Small", "one", 2, 2, 2, 4, window=3, latency=0)
    files = {"policy.py": DECLINES.encode()}
    job = Job("declines", files, trace, (case,), Cost(60.0, 1000, 10**6), made_with())
    monkeypatch.setattr(pool, "stored_values", lambda trace: stored_hotness("Small"))
    rows: list[Any] = []
    with distributed.Client(request.getfixturevalue("cluster")) as client:
        jobs = [replace(job, trace=replace(trace, folder=tmp_path / "nowhere"))] * 3
        pool.run_all(jobs, client.get_executor(pure=False), lambda job, found: rows.extend(found))
    (direct,) = run_job(job)
    assert [row["mean_par"] for row in rows] == [direct["mean_par"]] * 3
    assert [path.name for path in tmp_path.glob("expert-placement-traces-*/*")] == [trace.sha256]
