"""Whole processes: the grid as the platform runs it, with the DS-EPLB policy, and a first edition's loop beside it."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarking.command import command_costs
from benchmarking.memory import command_peak
from placement.traces.whole_file import write_whole
from placement.traces.yaml_file import read_yaml

ROOT = Path(__file__).resolve().parents[2]
POLICY = ROOT / "starting_kit" / "policies" / "ds_eplb"
LOOP = "import sys; from benchmarking.first_edition import main; main(sys.argv[1:])"
CASE = ("model", "dataset", "ep", "redundant_experts")
# One in the last decimal that is written: another order of adding up may round the other way.
LAST_DIGIT = 1.5e-12


def grid_costs(grid: Path, traces: Path, output: Path, jobs: int) -> dict[str, Any]:
    """Wall-clock and processor seconds and page faults of all processes of a run, and a hash of all that was measured.

    `peak_bytes` is of a second run: to look at the processes costs them time.

    Raises CalledProcessError when the grid cannot be run.
    """
    command = ingestion(grid, traces, output, jobs)
    costs, printed = command_costs(command)
    measured, cases = measured_sha256(output), read_cases(output)
    sizes = {"run": "ingestion program", "cases": len(cases), "jobs": jobs}
    return (
        sizes
        | costs
        | {"peak_bytes": command_peak(command), "measured_sha256": measured, "printed_bytes": len(printed)}
    )


def ingestion(grid: Path, traces: Path, output: Path, jobs: int) -> list[str]:
    """The command that runs DS-EPLB on a grid."""
    command = [sys.executable, str(ROOT / "ingestion_program" / "ingestion.py")]
    command += ["--submission", str(POLICY), "--jobs", str(jobs)]
    return [*command, "--grid", str(grid), "--traces", str(traces), "--output", str(output)]


def first_edition_costs(grid: Path, traces: Path, output: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a first edition's loop costs on a grid, as a process, and case by case.

    output: holds the results of the ingestion program on this grid; `same` tells whether the loop gave a case's digits.
    Raises CalledProcessError.
    """
    folders = (ROOT / "tools", ROOT / "ingestion_program")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))}
    command = [sys.executable, "-c", LOOP, str(grid), str(traces)]
    costs, printed = command_costs(command, environment)
    said = json.loads(printed)
    # A grid may name its cases in another order than trace by trace.
    stored = {tuple(row[key] for key in CASE): row for row in read_cases(output)}
    cases = [row | {"same": is_same(row, stored[tuple(row[key] for key in CASE)])} for row in said["cases"]]
    sizes = {"run": "numpy loop", "cases": len(cases), "jobs": 1}
    return sizes | costs | {"peak_bytes": said["peak_bytes"]}, cases


def is_same(row: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    """Whether two rows have the same mean PAR, to the last decimal that is written, and transmit amount."""
    apart = abs(row["mean_par"] - stored["mean_par"])
    return apart < LAST_DIGIT and row["transmit_amount"] == stored["transmit_amount"]


def read_cases(output: Path) -> list[dict[str, Any]]:
    """The cases of a run's results."""
    return json.loads((output / "results.json").read_text(encoding="utf-8"))["cases"]


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
    cases = read_cases(output)
    steady = [{key: value for key, value in case.items() if not key.endswith("_seconds")} for case in cases]
    digest = hashlib.sha256(json.dumps(steady).encode())
    for name in ("series.npz", "explain.json", "decisions.npz"):
        digest.update((output / name).read_bytes())
    return digest.hexdigest()
