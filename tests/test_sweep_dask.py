"""Sweeps and comparisons on Dask, the extra `dask`: the same tables, also when a worker or the sweep dies.

`make test-dask` installs it and runs this file. One cluster serves all tests, as it takes seconds to begin.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import kit
from commands.executor import chosen
from kit_world import write_kit_world
from placement.grid import Case, Cost
from submissions import DECLINES, ROOT, stored_hotness, write_policy
from sweeps import pool
from sweeps.job import Job, made_with, run_job
from sweeps.trace_file import trace_file

pytest.importorskip("distributed")

# On four devices it waits while a file is there, and kills its worker, the process above its job's, if one is there.
SHIFTS = """
    import os
    from pathlib import Path
    import numpy as np
    POWER = 1
    FOLDER = Path({folder!r})

    def rebalance(hotness, n_device, n_red_expert):
        if n_device == 4 and (FOLDER / "kills").exists():
            (FOLDER / "kills").unlink()
            os.kill(int(Path(f"/proc/{{os.getppid()}}/stat").read_text().rpartition(")")[2].split()[1]), 9)
        while n_device == 4 and (FOLDER / "waits").exists():
            pass
        _, layers, experts = hotness.shape
        row = np.roll(np.arange(experts + n_red_expert) % experts, POWER).reshape(n_device, -1)
        return True, range(layers), np.tile(row, (layers, 1, 1)), None
"""
SETTINGS: dict[str, Any] = {"ep": [2, 4], "window": [3], "parameters": {"power": [1, 2]}}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_kit_world(tmp_path_factory.mktemp("world"))
    write_policy(folder / "shifts", SHIFTS.format(folder=str(folder)))
    write_policy(folder / "declines", DECLINES)
    shutil.copytree(folder / "traces" / "Small", folder / "one" / "Small")
    return folder


@pytest.fixture(scope="module")
def expected(world: Path) -> pd.DataFrame:
    """The table of processes."""
    return kit.sweep(world / "one", world / "shifts", output=world / "processes", **SETTINGS)


@pytest.fixture(scope="module")
def cluster(world: Path) -> Iterator[Any]:
    """An executor of two workers of this machine, whose temporary files lie in the world's folder."""
    with pytest.MonkeyPatch.context() as patch:
        (world / "temporary").mkdir()
        patch.setenv("TMPDIR", str(world / "temporary"))
        with chosen("dask", None, 2) as made:
            yield made


def same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether all but the wall clock is equal, to the last digit."""
    return one.drop(columns="policy_seconds").equals(other.drop(columns="policy_seconds"))


def test_a_cluster_gives_the_table_of_processes_also_when_a_worker_is_killed_in_the_middle(
    world: Path, expected: pd.DataFrame, cluster: Any, tmp_path: Path
) -> None:
    (world / "kills").touch()
    frame = kit.sweep(world / "one", world / "shifts", output=tmp_path, executor=cluster, **SETTINGS)
    assert not (world / "kills").exists() and len(frame) == 4 and same(frame, expected)


def test_a_sweep_that_is_killed_and_started_again_gives_the_same_table(
    world: Path, expected: pd.DataFrame, cluster: Any, tmp_path: Path
) -> None:
    (world / "waits").touch()
    command = [sys.executable, ROOT / "starting_kit" / "kit.py", "sweep", world / "one", "--policy", world / "shifts"]
    command += ["--ep", "2", "4", "--window", "3", "--parameter", "power=1,2", "--output", tmp_path]
    command += ["--executor", "dask", "--dask-address", cluster._client.scheduler.address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as program:
        next(line for line in program.stdout if line.startswith("[2/6] "))
        program.kill()
        program.stdout.read()
    said: list[str] = []

    def show(line: str) -> None:
        # What waits on a worker goes on when the second sweep has looked.
        said.append(line)
        (world / "waits").unlink(missing_ok=True)

    frame = kit.sweep(world / "one", world / "shifts", output=tmp_path, executor=cluster, show=show, **SETTINGS)
    assert re.fullmatch(rf"\[[2-4]/6\] kept from an earlier sweep in {tmp_path}/units", said[0]), said
    assert same(frame, expected)


def test_a_comparison_on_a_cluster_is_that_of_processes(world: Path, cluster: Any, tmp_path: Path) -> None:
    settings = {"grid": world / "grid.yaml", "traces": world / "traces", "iterations": 14, "seeds": 1}
    settings |= {"cases": ["Small/one:4"], "output": tmp_path}
    policies, said = (world / "shifts", world / "declines"), []
    frame = kit.compare(*policies, **settings, executor=cluster, show=said.append)
    assert sum(": 1 cases" in line for line in said) == 2
    shutil.rmtree(tmp_path / "units")
    assert frame.equals(kit.compare(*policies, **settings))


def test_a_scheduler_that_does_not_answer_is_an_error(world: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("commands.executor.WAIT", "200ms")
    arguments = ["sweep", str(world / "traces"), "--policy", str(world / "declines"), "--output", str(tmp_path)]
    with pytest.raises(SystemExit):
        kit.main([*arguments, "--executor", "dask", "--dask-address", "tcp://127.0.0.1:9"])
    assert "no Dask scheduler answers. Got: tcp://127.0.0.1:9: " in capsys.readouterr().err


def test_workers_without_the_traces_folder_are_sent_the_trace_once_for_all_jobs(
    world: Path, cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = trace_file(world / "one", "Small", "one")
    case = Case("Small", "one", 2, 2, 2, 4, window=3, latency=0)
    files = {"policy.py": DECLINES.encode()}
    kept = (tmp_path / "nowhere", ({"unit": "one"},))
    job = Job("declines", files, trace, (case,), Cost(60.0, 1000, 10**6), made_with(), *kept)
    read: list[Any] = []
    monkeypatch.setattr(pool, "stored_values", lambda trace: read.append(trace) or stored_hotness("Small"))
    rows: list[Any] = []
    jobs = [replace(job, trace=replace(trace, folder=tmp_path / "nowhere"))] * 3
    pool.run_all(jobs, cluster, lambda job, found: rows.extend(found))
    (direct,) = run_job(job)
    assert [row["mean_par"] for row in rows] == [direct["mean_par"]] * 3 and len(read) == 1
    assert [path.parent.name for path in (world / "temporary").glob("*/*/trace.npy")] == [trace.sha256]
