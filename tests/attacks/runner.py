"""Runs every attack through the real ingestion program and compares what happened with verdicts.yaml.

    python tests/attacks/runner.py [--mode MODE] [--jobs N] [names ...]

local: as on a participant's machine. platform: as on a Codabench worker, in a container. unprivileged: the same,
but not as root. old-landlock: as local, with Landlock's first version. without-landlock: on a kernel that seems to
lack Landlock, with the grid's sandbox at best_effort.
Exit code 0: all as expected.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / name) for name in ("tests/attacks", "ingestion_program", "starting_kit", "tools")]

from verdicts import Verdict, check_control, judge, load_verdicts, read_results
from world import MODES, PATIENCE, Run, impossible, run_attack, without_landlock, world

CONTROL = "honest"
# Another case sees what the first one left, or is another step of the attack.
TOGETHER = ("next_case_", "answer_hard_windows", "raise_exits")
# What a policy answers, raises, prints and computes stays in its process.
ALONE = ("answer_", "crash_", "exit_", "forge_", "frames", "hold_", "log_", "print_", "raise_", "sleep", "slow_answer")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(description="Run the attacks and compare them with their verdicts.")
    parser.add_argument("names", nargs="*", help="attacks, default: all")
    parser.add_argument("--mode", choices=MODES, default="local")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--report", type=Path, help="a JSON file to write besides the table")
    parser.add_argument("--logs", action="store_true", help="print the log of each attack")
    options = parser.parse_args(arguments)
    if reason := impossible(options.mode):
        print(f"{options.mode}: {reason}")
        return 2
    verdicts = load_verdicts(without_landlock(options.mode))
    if unknown := set(options.names) - set(verdicts):
        parser.error(f"no such attack: {', '.join(sorted(unknown))}")
    names = options.names or list(verdicts)
    runs = run_all([verdicts[name] for name in names], options.mode, options.jobs, options.logs)
    if options.report:
        rows = [{"name": r.name, "got": r.got, "seconds": r.seconds, "problems": r.problems} for r in runs]
        options.report.write_text(json.dumps(rows, indent=1))
    wrong = [run.name for run in runs if run.problems]
    print(
        f"{len(runs)} attacks, " + (f"{len(wrong)} not as expected: {', '.join(wrong)}" if wrong else "all as expected")
    )
    return 1 if wrong else 0


def run_all(verdicts: list[Verdict], mode: str, jobs: int, logs: bool = False) -> list[Run]:
    """Run the control and then the attacks, print a row for each, and return their runs with all problems."""
    with world(mode) as folder:

        def attack(name: str, cases: int, call_seconds: float = PATIENCE) -> Run:
            run = run_attack(name, folder, mode, cases, call_seconds)
            read_results(run)
            return run

        cases = {verdict.name: cases_of(verdict.name, mode) for verdict in verdicts}
        controls = {number: attack(CONTROL, number) for number in {cases_of(CONTROL, mode), *cases.values()}}
        for number, control in controls.items():
            check_control(control, number)
        done: dict[str, Run] = {CONTROL: controls[cases_of(CONTROL, mode)]}
        with ThreadPoolExecutor(jobs) as pool:
            waiting = [v for v in verdicts if v.name != CONTROL]
            for run in pool.map(
                lambda verdict: attack(verdict.name, cases[verdict.name], verdict.call_seconds), waiting
            ):
                done[run.name] = run
        for control in controls.values():
            if control is not done[CONTROL]:
                done[CONTROL].problems += control.problems
        for verdict in verdicts:
            run = done[verdict.name]
            judge(run, verdict, controls[cases[verdict.name]])
            print(f"{run.name:26} {verdict.verdict:8} {run.got:28} {run.seconds:5.1f} s", flush=True)
            for problem in run.problems:
                print(f"    {problem}", flush=True)
            if logs:
                print("\n".join(f"    > {line}" for line in run.log.splitlines()), flush=True)
    return [done[verdict.name] for verdict in verdicts]


def cases_of(name: str, mode: str) -> int:
    """How many cases an attack's grid has: two where cases can meet, one where an attack is about one process."""
    return 2 if name.startswith(TOGETHER) or (mode == "local" and not name.startswith(ALONE)) else 1


if __name__ == "__main__":
    sys.exit(main())
