"""Measures the simulator's speed on this machine: everything in one run, with ratios that travel.

    python tools/benchmark.py --quick        the sample grid on the traces that ship, about a minute
    python tools/benchmark.py                the official grid; full-size traces are generated where there are none

A pass is one sum over a trace in memory. The tables go to the terminal, all numbers to a JSON file.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "ingestion_program"))

from benchmarking.boundary import boundary_costs  # noqa: E402
from benchmarking.kernel import scaling_costs, trace_costs  # noqa: E402
from benchmarking.table import BOUNDARY_COLUMNS, CASE_COLUMNS, GRID_COLUMNS, SCALING_COLUMNS, table  # noqa: E402
from benchmarking.whole_grid import grid_costs  # noqa: E402
from ingestion import cores, read_yaml  # noqa: E402
from placement.errors import OrganizerError  # noqa: E402
from placement.grid import Grid, grid_from_mapping  # noqa: E402
from placement.results import versions  # noqa: E402
from placement.sandbox import hide_process  # noqa: E402
from traces import FULL_ITERATIONS  # noqa: E402

JOBS = (1, 2)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, 1 when `jobs` changes a result, 2 when it cannot measure."""
    parser = argparse.ArgumentParser(description="Measure the simulator's speed on this machine.")
    parser.add_argument("--quick", action="store_true", help="the sample grid on the sample traces, medians of three")
    parser.add_argument("--traces", type=Path, default=ROOT / "output" / "benchmark" / "traces")
    parser.add_argument("--output", type=Path, default=ROOT / "output" / "benchmark", help="takes benchmark.json")
    options = parser.parse_args(arguments)
    grid_path = ROOT / "ingestion_program" / ("grid.yaml" if options.quick else "grid_official.yaml")
    traces = ROOT / "sample_traces" if options.quick else options.traces
    try:
        grid = grid_from_mapping(read_yaml(grid_path, "grid"))
        if not options.quick:
            make_traces(grid, traces)
        found = measure(grid, grid_path, traces, options.output, times=3 if options.quick else 5)
    except (OrganizerError, subprocess.CalledProcessError) as error:
        print(error)
        return 2
    (options.output / "benchmark.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    same = len({run["measured_sha256"] for run in found["grid"]}) == 1
    print("Results are the same at every number of jobs." if same else "RESULTS DIFFER between numbers of jobs.")
    return 0 if same else 1


def make_traces(grid: Grid, folder: Path) -> None:
    """Generate the grid's traces where they are missing. Raises CalledProcessError."""
    for seed, (first, *_) in enumerate(grid.by_trace(), start=1):
        if not (folder / first.model / f"{first.dataset}.npy").exists():
            command = [sys.executable, str(ROOT / "tools" / "traces.py"), "generate", "--output", str(folder)]
            command += ["--model", first.model, "--dataset", first.dataset, "--seed", str(seed), "--format", "npy"]
            subprocess.run([*command, "--iterations", str(FULL_ITERATIONS[first.model])], check=True)


def measure(grid: Grid, grid_path: Path, traces: Path, output: Path, times: int) -> dict[str, Any]:
    """Measure everything, print each table as it is ready, and return all numbers. Raises OrganizerError."""
    found: dict[str, Any] = {"machine": machine(), "grid_name": grid.name}
    print(f"{found['machine']['text']}; grid {grid.name}, medians of {times}\n", flush=True)
    found["cases"], found["boundary"] = [], []
    # One trace of each model: all traces of a model have one size.
    for cases in {cases[0].model: cases for cases in reversed(grid.by_trace())}.values():
        rows, trace = trace_costs(traces, cases, times)
        found["cases"] += rows
        policy = ROOT / "starting_kit" / "policies" / "static"
        found["boundary"].append(boundary_costs(policy, cases[0], trace, grid, times))
        del trace
    show(found["cases"], CASE_COLUMNS)
    show(found["boundary"], BOUNDARY_COLUMNS)
    found["scaling"] = scaling_costs(times)
    show(found["scaling"], SCALING_COLUMNS)
    found["grid"] = [grid_costs(grid_path, traces, output / "grid", jobs) for jobs in JOBS]
    show(found["grid"], GRID_COLUMNS)
    return found


def machine() -> dict[str, Any]:
    """What was measured on, and when."""
    models = [line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    facts = versions() | {
        "processor": models[0] if models else platform.processor() or "unknown",
        "cores": cores(),
        "system": f"{platform.system()} {platform.release()}",
        "date": datetime.date.today().isoformat(),
    }
    text = "{date}, {processor}, {cores} cores, {system}, Python {python}, numpy {numpy}".format_map(facts)
    return facts | {"text": text}


def show(rows: list[dict[str, Any]], columns: dict[str, str]) -> None:
    """Print one table."""
    print(table(rows, columns) + "\n", flush=True)


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if os.path.exists(path) else []


if __name__ == "__main__":
    hide_process()
    sys.exit(main())
