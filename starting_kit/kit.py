"""The participant's command line: run scores a policy as the platform does, check says whether it is accepted.

python starting_kit/kit.py check
python starting_kit/kit.py run
python starting_kit/kit.py run starting_kit/policies/ds_eplb
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

KIT = Path(__file__).resolve().parent
ROOT = KIT.parent
INGESTION = ROOT / "ingestion_program"
sys.path.insert(0, str(INGESTION))

INTERRUPTED = 130
EXAMPLES = """examples:
  python starting_kit/kit.py check                                    is starting_kit/policy.py accepted?
  python starting_kit/kit.py run                                      score it on the sample grid
  python starting_kit/kit.py run starting_kit/policies/hot_experts    score a policy of the gallery
  python starting_kit/kit.py run my_policy --jobs 1                   score my_policy/policy.py
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="kit.py",
        description=__doc__.splitlines()[0],
        epilog=EXAMPLES,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run_parser = commands.add_parser("run", help="score a policy with the platform's own programs")
    check_parser = commands.add_parser("check", help="say in two seconds whether a policy is accepted, and why not")
    for command in (run_parser, check_parser):
        command.add_argument(
            "policy", nargs="?", type=Path, default=KIT, help="a folder with policy.py (default: the template)"
        )
        command.add_argument(
            "--grid", type=Path, default=INGESTION / "grid.yaml", help="which cases (default: the sample grid)"
        )
    run_parser.add_argument(
        "--traces", type=Path, default=ROOT / "sample_traces", help="holds <model>/<dataset>.npy or .npz"
    )
    run_parser.add_argument(
        "--reference", type=Path, default=ROOT / "reference_data", help="holds ds_eplb.json of this grid"
    )
    run_parser.add_argument("--output", type=Path, default=ROOT / "output", help="results and page go here")
    run_parser.add_argument("--jobs", type=int, default=2, help="traces replayed at the same time (default: 2)")
    options = parser.parse_args(arguments)
    if importlib.util.find_spec("yaml") is None or importlib.util.find_spec("numpy") is None:
        parser.error("numpy or PyYAML is missing. Next: run `make run` once, then use .venv/bin/python")
    if not options.policy.is_dir() and options.policy.name != "policy.py":
        parser.error(f"{options.policy} is no folder and no policy.py. Next: name the folder that holds policy.py")
    from progress import temporary_folder

    folder = options.policy if options.policy.is_dir() else options.policy.parent
    try:
        if options.command == "check":
            with temporary_folder():
                return check(folder, options.grid)
        if options.jobs < 1:
            parser.error(f"--jobs must be at least 1, got {options.jobs}")
        return run(folder, options.grid, options.traces, options.reference, options.output, options.jobs)
    except KeyboardInterrupt:
        return INTERRUPTED


def run(folder: Path, grid: Path, traces: Path, reference: Path, output: Path, jobs: int) -> int:
    """Run ingestion and scoring as the platform does; the last line printed is the score or the next step."""
    prediction, scoring = output / "prediction", output / "scoring"
    # An earlier run's results must not be scored, or shown, should this one not end.
    for path in (prediction / "results.json", scoring / "scores.json", scoring / "detailed_results.html"):
        path.unlink(missing_ok=True)
    _program(
        INGESTION / "ingestion.py",
        *("--submission", folder, "--traces", traces, "--grid", grid, "--output", prediction, "--jobs", jobs),
    )
    if not (prediction / "results.json").is_file():
        print("The ingestion program left no results. Next: read its messages above.")
        return 2
    print(f"page: {_short(scoring / 'detailed_results.html')}", flush=True)
    scorer = ROOT / "scoring_program" / "scoring.py"
    return _program(scorer, "--results", prediction, "--reference", reference, "--output", scoring)


def check(folder: Path, grid_path: Path) -> int:
    """Call the policy twice on made-up hotness, for each model's smallest and largest ep; print the verdict."""
    from ingestion import read_yaml
    from placement.errors import Problem
    from placement.grid import grid_from_mapping
    from placement.submission import find_policy

    try:
        grid = grid_from_mapping(read_yaml(grid_path, "grid"))
        found, note = find_policy(folder)
        if note:
            print(f"note: {note}")
        by_model: dict[str, list[Any]] = {}
        for case in sorted(grid.cases, key=lambda case: case.ep):
            by_model.setdefault(case.model, []).append(case)
        models = dict.fromkeys(case.model for case in grid.cases)
        ends = [dict.fromkeys((by_model[model][0], by_model[model][-1])) for model in models]
        problems = []
        with ThreadPoolExecutor(len(by_model)) as pool:
            for lines, problem in pool.map(lambda cases: _try_cases(found, cases, grid), ends):
                print("\n".join(lines))
                problems += [problem] if problem else []
        if problems:
            raise problems[0]
    except Problem as error:
        print(f"not accepted: {error}")
        return 1
    print(f"accepted. Next: python starting_kit/kit.py run {_short(folder)}")
    return 0


def _try_cases(folder: Path, cases: Iterable[Any], grid: Any) -> tuple[list[str], Exception | None]:
    """Lines to print about cases of one model, and what the policy did wrong in the first that failed."""
    import numpy as np

    from placement.errors import PolicyError
    from placement.policy_process import PolicyProcess
    from placement.replay import replay
    from placement.trace import Trace

    lines: list[str] = []
    trace = None
    for case in cases:
        if trace is None:
            # Just long enough for a second call after all layers were redeployed.
            iterations = 2 * case.window + case.layers + case.latency + 2
            shape = (iterations, case.layers, case.experts)
            trace = Trace(np.random.default_rng(0).integers(0, 100, shape, np.int32))
        process = PolicyProcess(folder, case, trace, grid, time.monotonic() + grid.limits.grid_seconds)
        try:
            with process:
                form = process.start()
                calls = len(replay(trace, case, process.rebalance).calls)
        except PolicyError as error:
            lines += [f"{case.model} ep {case.ep}: {error.status}", *_quoted(process.log)]
            return lines, error.at(f"{case.model} ep {case.ep}")
        slowest = max(process.seconds[1:])
        lines.append(
            f"{case.model} ep {case.ep}: {form} form, {calls} calls, start {process.seconds[0]:.2f} of "
            f"{grid.limits.start_seconds:g} s, slowest call {slowest:.2f} of {grid.limits.call_seconds:g} s"
        )
        lines += _quoted(process.log)
    return lines, None


def _quoted(log: str) -> list[str]:
    return [f"  | {line}" for line in log.splitlines()]


def _short(path: Path) -> Path:
    """The path as seen from here, when it lies below."""
    path, here = path.resolve(), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _program(program: Path, *arguments: object) -> int:
    return subprocess.run([sys.executable, str(program), *map(str, arguments)], check=False).returncode


if __name__ == "__main__":
    from placement.sandbox import hide_process
    from progress import end_when_interrupted

    hide_process()
    if sys.argv[1:2] == ["check"]:
        end_when_interrupted("check: interrupted")
    sys.exit(main())
