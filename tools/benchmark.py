"""Measures the simulator's speed on this machine: everything in one run, with ratios that travel.

    python tools/benchmark.py --quick        the sample grid on the traces that ship, some ten seconds
    python tools/benchmark.py                the official grid on traces of full size, which are generated once:
                                             2.2 GB in output/benchmark/traces
    python tools/benchmark.py --traces DIR   the official grid on traces that are there; nothing is written to DIR
    python tools/benchmark.py --markdown     the same, and writes its tables into docs/speed.md and docs/scale.md
    python tools/benchmark.py --markdown output/benchmark/benchmark.json     measures nothing, and writes them

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
from benchmarking.growth import growth_costs
from benchmarking.kernel import trace_costs
from benchmarking.published import publish
from benchmarking.sentences import drawn, texts
from benchmarking.steps import step_costs
from benchmarking.submission import submission_costs
from benchmarking.whole_grid import first_edition_costs, grid_costs, one_trace_grid
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
KIT = ROOT / "starting_kit" / "kit.py"
JOBS = (1, 2)
# The documents that show the tables, and the numbers that these are made of.
DOCUMENTS = [ROOT / "docs" / "speed.md", ROOT / "docs" / "scale.md"]
NUMBERS = ROOT / "docs" / "benchmark.json"
MEASURE = Path()


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
    parser.add_argument(
        "--markdown",
        type=Path,
        nargs="?",
        const=MEASURE,
        metavar="NUMBERS",
        help="write the tables into the documents, and the numbers beside them; with a benchmark.json of a run on the "
        "official grid: its tables, and measure nothing",
    )
    options = parser.parse_args(arguments)
    if options.quick and (options.traces is not None or options.markdown is not None):
        parser.error("--quick measures the sample traces; leave --traces and --markdown out")
    grid_path = ROOT / "ingestion_program" / ("grid.yaml" if options.quick else "grid_official.yaml")
    traces = ROOT / "sample_traces" if options.quick else options.traces or FULL_TRACES
    try:
        if options.markdown not in (None, MEASURE):
            return write_documents(options.markdown.read_bytes())
        if options.traces is None and not options.quick:
            make_traces(read_grid(grid_path), traces)
        numbers = measure(grid_path, traces, options.output, options.quick)
        content = write_whole(options.output / "benchmark.json", (json.dumps(numbers, indent=1) + "\n").encode("utf-8"))
        if options.markdown is not None:
            write_documents(content)
    except (OrganizerError, OSError, subprocess.CalledProcessError) as error:
        print(error)
        return 2
    same = len({run["measured_sha256"] for run in numbers["grid"]}) == 1
    print(f"Results {'are the same' if same else 'DIFFER'} with --jobs {', '.join(map(str, JOBS))}.")
    alike = all(row["same"] for row in numbers["loop"])
    print(f"The numpy loop's digits {'are the same' if alike else 'DIFFER'}.")
    return 0 if same and alike else 1


def write_documents(content: bytes) -> int:
    """Write the tables of a measurement into DOCUMENTS and its numbers into NUMBERS, and return 0.

    Raises OrganizerError for numbers that are not of the official grid.
    """
    numbers = json.loads(content)
    if numbers.get("grid_name") != "official":
        got, expected = f"grid {numbers.get('grid_name')}", "benchmark.json of tools/benchmark.py without --quick"
        raise OrganizerError("the documents show the official grid", got, expected, "measure again", "--markdown")
    publish(DOCUMENTS, texts(numbers))
    write_whole(NUMBERS, content)
    return 0


def make_traces(grid: Grid, folder: Path) -> None:
    """Generate the traces of a grid that are missing, from the profiles of their names. Raises CalledProcessError."""
    names = [f"{first.model}/{first.dataset}" for first, *_ in grid.by_trace()]
    missing = [name for name in names if not (folder / f"{name}.npy").exists()]
    if missing:
        command = [sys.executable, str(KIT), "generate", "--output", str(folder)]
        subprocess.run([*command, "--profile", *missing], check=True)


def make_reference(grid_path: Path, traces: Path, folder: Path) -> None:
    """Measure DS-EPLB on the traces, for the scoring program to score against. Raises CalledProcessError."""
    command = [sys.executable, str(KIT), "reference", "--grid", str(grid_path), "--traces", str(traces)]
    subprocess.run([*command, "--output", str(folder)], check=True, stdout=subprocess.DEVNULL)


def measure(grid_path: Path, traces: Path, output: Path, quick: bool) -> dict[str, Any]:
    """Measure everything, print each table as it is ready, and return all numbers.

    quick: medians of three, fewer rows of growth, and the reference that ships. Raises OrganizerError, and
    CalledProcessError when the grid cannot be run.
    """
    grid, times = read_grid(grid_path), 3 if quick else 5
    numbers: dict[str, Any] = {"machine": machine(), "grid_name": grid.name, "times": times}
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
    show("replays", numbers)
    if any(find_trace(traces, cases[0].model, cases[0].dataset).suffix == ".npz" for cases in one_trace.values()):
        print("Opening includes unpacking: a trace in an .npz file is compressed.\n")
    show("windows", numbers)
    one = one_trace_grid(grid_path, output)
    run = grid_costs(one, traces, output / "trace", 1)
    loop, numbers["loop"] = first_edition_costs(one, traces, output / "trace")
    # The grid's first trace is the first one that was measured above, its cases in the same order.
    for row, case in zip(numbers["loop"], numbers["cases"], strict=False):
        row["replay_seconds"] = case["replay_seconds"]
        row["faster_ratio"] = row["loop_seconds"] / row["replay_seconds"]
    show("loop", numbers)
    numbers["trace"] = [loop, run]
    numbers["grid"] = [grid_costs(grid_path, traces, output / "grid", number) for number in JOBS]
    show("grid", numbers)
    numbers["steps"] = step_costs(traces, grid, grid.by_trace()[0], times, run["processor_seconds"])
    show("steps", numbers)
    reference = ROOT / "reference_data" if quick else output / "reference"
    if not quick:
        make_reference(grid_path, traces, reference)
    numbers["submission"] = submission_costs(numbers["grid"][-1], output / "grid", reference, output / "scoring")
    show("day", numbers)
    numbers["growth"] = growth_costs(grid_path, output / "growth", 3, quick)
    show("growth", numbers)
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
    facts["load"] = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else "unknown"
    text = "{date}, {processor}, {cores} cores, {system}, Python {python}, numpy {numpy}, load {load} at the start"
    text = text.format_map(facts)
    return facts | {"text": text}


def show(name: str, numbers: dict[str, Any]) -> None:
    """Print one table, as the documents have it."""
    print(drawn(name, numbers) + "\n", flush=True)


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if os.path.exists(path) else []


if __name__ == "__main__":
    raise_when_interrupted()
    run_program(main, "benchmark.py")
