"""The participant's command line: run scores a policy as the platform does, check says whether it is accepted.

python starting_kit/kit.py check
python starting_kit/kit.py run
python starting_kit/kit.py run starting_kit/policies/ds_eplb
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

KIT = Path(__file__).resolve().parent
ROOT = KIT.parent
INGESTION = ROOT / "ingestion_program"
sys.path.insert(0, str(INGESTION))

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
    folder = policy_folder(options.policy)
    if options.command == "check":
        return check(folder, options.grid)
    return run(folder, options.grid, options.traces, options.reference, options.output, options.jobs)


def policy_folder(path: Path) -> Path:
    """The submission's folder, also when the path is that of its policy.py."""
    return path.parent if path.name == "policy.py" and path.is_file() else path


def run(folder: Path, grid: Path, traces: Path, reference: Path, output: Path, jobs: int) -> int:
    """Run ingestion and scoring as the platform does; the last line printed is the score or the next step."""
    prediction, scoring = output / "prediction", output / "scoring"
    # An earlier run's results must not be scored should this one not begin.
    (prediction / "results.json").unlink(missing_ok=True)
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
    """Load the policy and call it twice on made-up hotness of each model; print the verdict."""
    from ingestion import read_yaml
    from placement.errors import Problem
    from placement.grid import grid_from_mapping
    from placement.policy import find_policy

    try:
        grid = grid_from_mapping(read_yaml(grid_path, "grid"))
        found, note = find_policy(folder)
        if note:
            print(f"note: {note}")
        largest = {case.model: case for case in sorted(grid.cases, key=lambda case: case.ep)}
        for case in largest.values():
            _try_case(found, case, grid)
    except Problem as error:
        print(f"not accepted: {error}")
        return 1
    print(f"accepted. Next: python starting_kit/kit.py run {_short(folder)}")
    return 0


def _try_case(folder: Path, case: Any, grid: Any) -> None:
    import numpy as np

    from placement.errors import PolicyError
    from placement.policy_process import PolicyProcess
    from placement.replay import replay
    from placement.trace import Trace

    # Just long enough for a second call after all layers were redeployed.
    iterations = 2 * case.window + case.layers + case.latency + 2
    hotness = np.random.default_rng(0).integers(0, 100, (iterations, case.layers, case.experts), np.int32)
    trace = Trace(hotness)
    process = PolicyProcess(folder, case, trace, grid, time.monotonic() + grid.limits.grid_seconds)
    try:
        with process:
            form = process.start()
            calls = len(replay(trace, case, process.rebalance).calls)
    except PolicyError as error:
        raise error.at(f"{case.model} ep {case.ep}") from None
    finally:
        for line in process.log.splitlines():
            print(f"  | {line}")
    slowest = max(process.seconds[1:])
    print(
        f"{case.model} ep {case.ep}: {form} form, {calls} calls, start {process.seconds[0]:.2f} of "
        f"{grid.limits.start_seconds:g} s, slowest call {slowest:.2f} of {grid.limits.call_seconds:g} s"
    )


def _short(path: Path) -> Path:
    """The path as seen from here, when it lies below."""
    path, here = path.resolve(), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _program(program: Path, *arguments: object) -> int:
    return subprocess.run([sys.executable, str(program), *map(str, arguments)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
