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

ROOT = Path(__file__).resolve().parents[2]


def grid_costs(grid: Path, traces: Path, output: Path, jobs: int) -> dict[str, Any]:
    """Wall-clock and processor seconds of a run, peak bytes of a second run, and a hash of all that was measured.

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
        "jobs": jobs,
        "wall_seconds": wall,
        "processor_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_bytes": command_peak(command),
        "measured_sha256": measured,
    }


def measured_sha256(output: Path) -> str:
    """Hash of a run's cases without what clocks say (keys that end in _seconds), of its companions."""
    cases = json.loads((output / "results.json").read_text(encoding="utf-8"))["cases"]
    steady = [{key: value for key, value in case.items() if not key.endswith("_seconds")} for case in cases]
    digest = hashlib.sha256(json.dumps(steady).encode())
    for name in ("series.npz", "explain.json", "decisions.npz"):
        digest.update((output / name).read_bytes())
    return digest.hexdigest()
