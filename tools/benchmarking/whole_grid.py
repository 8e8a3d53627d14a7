"""The whole grid as the platform runs it: the ingestion program with the DS-EPLB policy."""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarking.memory import command_peak
from placement.traces.whole_file import write_whole
from placement.traces.yaml_file import read_yaml

ROOT = Path(__file__).resolve().parents[2]


def grid_costs(grid: Path, traces: Path, output: Path, jobs: int) -> dict[str, Any]:
    """Wall-clock and processor seconds and page faults of all processes of a run, and a hash of all that was measured.

    `peak_bytes` is of a second run: to look at the processes costs them time.

    Raises CalledProcessError when the grid cannot be run.
    """
    command = [sys.executable, str(ROOT / "ingestion_program" / "ingestion.py")]
    command += ["--submission", str(ROOT / "starting_kit" / "policies" / "ds_eplb"), "--jobs", str(jobs)]
    command += ["--grid", str(grid), "--traces", str(traces), "--output", str(output)]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    measured = measured_sha256(output)
    return {
        "cases": len(json.loads((output / "results.json").read_text(encoding="utf-8"))["cases"]),
        "jobs": jobs,
        "wall_seconds": wall,
        "processor_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "page_faults": after.ru_minflt - before.ru_minflt,
        "peak_bytes": command_peak(command),
        "measured_sha256": measured,
    }


def one_trace_grid(grid: Path, folder: Path) -> Path:
    """Write a grid that has the cases of a grid's first trace alone, and return its path. Raises OrganizerError."""
    content = read_yaml(grid, "grid")
    # JSON is YAML too.
    cases = content["cases"]
    same = [case for case in cases if all(case[key] == cases[0][key] for key in ("model", "dataset"))]
    write_whole(path := folder / "one_trace.yaml", json.dumps(content | {"cases": same}, indent=1).encode())
    return path


def measured_sha256(output: Path) -> str:
    """Hash of a run's cases without what clocks say (keys that end in _seconds), of its companions."""
    cases = json.loads((output / "results.json").read_text(encoding="utf-8"))["cases"]
    steady = [{key: value for key, value in case.items() if not key.endswith("_seconds")} for case in cases]
    digest = hashlib.sha256(json.dumps(steady).encode())
    for name in ("series.npz", "explain.json", "decisions.npz"):
        digest.update((output / name).read_bytes())
    return digest.hexdigest()
