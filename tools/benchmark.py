"""Measures the simulator's speed on this machine: everything in one run, with ratios that travel.

    python tools/benchmark.py --quick        the sample grid on the traces that ship, some ten seconds
    python tools/benchmark.py                the official grid on traces of full size, which are generated once:
                                             2.2 GB in output/benchmark/traces
    python tools/benchmark.py --traces DIR   the official grid on traces that are there; nothing is written to DIR

A pass is numpy's sum of a whole trace in memory. The tables go to the terminal, all numbers to a JSON file.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / name) for name in ("tools", "starting_kit", "ingestion_program", "scoring_program")]

from placement.evaluation.interruption import begin, raise_when_interrupted

if __name__ == "__main__":
    # Before the rest is imported, which takes its time.
    begin("benchmark.py", "benchmark.py: interrupted")

import argparse
import datetime
import json
import os
import platform
import subprocess
from typing import Any

from benchmarking.boundary import boundary_costs
from benchmarking.kernel import scaling_costs, trace_costs
from benchmarking.table import BOUNDARY_COLUMNS, CASE_COLUMNS, GRID_COLUMNS, SCALING_COLUMNS, table
from benchmarking.whole_grid import grid_costs, one_trace_grid
from commands.selection import read_grid
from placement.errors import OrganizerError
from placement.evaluation.grid_run import cores
from placement.evaluation.printing import run_program
from placement.evaluation.versions import versions
from placement.grid import Case, Grid
from placement.traces.files import find_trace
from placement.traces.whole_file import write_whole

OUTPUT = ROOT / "output" / "benchmark"
# The only folder that traces are generated into.
FULL_TRACES = OUTPUT / "traces"
JOBS = (1, 2)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, 1 when jobs change a result, 2 when it cannot measure."""
    parser = argparse.ArgumentParser(description="Measure the simulator's speed on this machine.")
    parser.add_argument("--quick", action="store_true", help="the sample grid on the sample traces, medians of three")
    parser.add_argument(
        "--traces",
        type=Path,
        metavar="FOLDER",
        help="the official grid's traces, only read (default: output/benchmark/traces, generated once: 2.2 GB)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=OUTPUT,
        metavar="FOLDER",
        help="takes benchmark.json, and results of runs in grid/ and trace/",
    )
    options = parser.parse_args(arguments)
    if options.quick and options.traces is not None:
        parser.error("--quick measures the sample traces; leave --traces out")
    grid_path = ROOT / "ingestion_program" / ("grid.yaml" if options.quick else "grid_official.yaml")
    traces = ROOT / "sample_traces" if options.quick else options.traces or FULL_TRACES
    times = 3 if options.quick else 5
    try:
        if options.traces is None and not options.quick:
            make_traces(read_grid(grid_path), traces)
        numbers = measure(grid_path, traces, options.output, times)
    except (OrganizerError, subprocess.CalledProcessError) as error:
        print(error)
        return 2
    write_whole(options.output / "benchmark.json", (json.dumps(numbers, indent=1) + "\n").encode("utf-8"))
    same = len({run["measured_sha256"] for run in numbers["grid"]}) == 1
    print(f"Results {'are the same' if same else 'DIFFER'} with --jobs {', '.join(map(str, JOBS))}.")
    return 0 if same else 1


def make_traces(grid: Grid, folder: Path) -> None:
    """Generate the traces of a grid that are missing, from the profiles of their names. Raises CalledProcessError."""
    names = [f"{first.model}/{first.dataset}" for first, *_ in grid.by_trace()]
    missing = [name for name in names if not (folder / f"{name}.npy").exists()]
    if missing:
        command = [sys.executable, str(ROOT / "starting_kit" / "kit.py"), "generate", "--output", str(folder)]
        subprocess.run([*command, "--profile", *missing], check=True)


def measure(grid_path: Path, traces: Path, output: Path, times: int) -> dict[str, Any]:
    """Measure everything, print each table as it is ready, and return all numbers.

    Raises OrganizerError, and CalledProcessError when the grid cannot be run.
    """
    grid = read_grid(grid_path)
    numbers: dict[str, Any] = {"machine": machine(), "grid_name": grid.name}
    print(
        f"{numbers['machine']['text']}; grid {grid.name}, medians of {times}, traces and replays on one core\n",
        flush=True,
    )
    numbers["cases"], numbers["boundary"] = [], []
    # One trace of each model: all traces of a model have one size.
    one_trace: dict[str, list[Case]] = {}
    for cases in grid.by_trace():
        one_trace.setdefault(cases[0].model, cases)
    for cases in one_trace.values():
        rows, trace = trace_costs(traces, cases, times)
        numbers["cases"] += rows
        policy = ROOT / "starting_kit" / "policies" / "static"
        numbers["boundary"].append(boundary_costs(policy, cases[0], trace, grid, times))
        del trace
    show(numbers["cases"], CASE_COLUMNS)
    if any(find_trace(traces, cases[0].model, cases[0].dataset).suffix == ".npz" for cases in one_trace.values()):
        print("Opening includes unpacking: a trace in an .npz file is compressed.\n")
    show(numbers["boundary"], BOUNDARY_COLUMNS)
    numbers["scaling"] = scaling_costs(times)
    show(numbers["scaling"], SCALING_COLUMNS)
    numbers["grid"] = [grid_costs(grid_path, traces, output / "grid", number) for number in JOBS]
    one = one_trace_grid(grid_path, output)
    numbers["trace"] = [grid_costs(one, traces, output / "trace", 1)]
    show(numbers["trace"] + numbers["grid"], GRID_COLUMNS)
    return numbers


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
    raise_when_interrupted()
    run_program(main, "benchmark.py")
