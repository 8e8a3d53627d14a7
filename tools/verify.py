"""Verifies the whole bundle: runs all steps, goes on after one that fails, and ends with a table.

    python tools/verify.py                      all steps, under half an hour on two cores (`make verify`)
    python tools/verify.py --only style bundle  these steps
    python tools/verify.py --ci                 the steps of continuous integration, which `.ci/run` runs

The table goes into output/verify.md, the log of each step into output/verify/. A step that this machine cannot run is
skipped, with the reason. Exit code 0: no step failed. 1: one did. 130: interrupted; the table has what ran.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / name) for name in ("tools", "starting_kit", "ingestion_program", "scoring_program")]

from placement.evaluation.interruption import INTERRUPTED, begin, raise_when_interrupted

if __name__ == "__main__":
    # Before the rest is imported, which takes its time.
    begin("verify.py", "verify.py: interrupted")

import argparse
import json
from collections.abc import Callable, Sequence

from commands.places import short
from placement.errors import OrganizerError, Problem
from placement.evaluation.printing import run_program
from verification import summary
from verification.bars import check_bars
from verification.gallery import check_gallery
from verification.kit_trial import check_kit
from verification.running import ASKED_TO_END, FAIL, NOT_RUN, Outcome, listen, run_step
from verification.shipped_reference import check_reference
from verification.steps import STEPS, Step

OUTPUT = ROOT / "output"
LAST_LINES = 25


def main(arguments: list[str] | None = None, steps: Sequence[Step] = STEPS, folder: Path = ROOT) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    some = parser.add_mutually_exclusive_group()
    some.add_argument("--ci", action="store_true", help="the steps of continuous integration")
    some.add_argument("--only", nargs="+", metavar="STEP", choices=[step.name for step in steps], help="these steps")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FOLDER", help="takes verify.md and verify/")
    some.add_argument("--check", choices=CHECKS, help="one check in this process, as a step runs it")
    options = parser.parse_args(arguments)
    if options.check:
        return check(options.check)
    chosen = [step for step in steps if (step.ci or not options.ci) and step.name in (options.only or [step.name])]
    return verify(chosen, folder, options.output, whole_logs=options.ci)


def verify(steps: Sequence[Step], folder: Path, output: Path, whole_logs: bool = False) -> int:
    """Run the steps in a folder, print progress and the table, and return the exit code. Raises OSError.

    whole_logs: print the whole log of a step that fails, and not only its last lines.
    """
    logs = output / "verify"
    logs.mkdir(parents=True, exist_ok=True)
    head = summary.head(folder)
    done: list[Outcome] = []
    for number, step in enumerate(steps, 1):
        log = logs / f"{step.name}.log"
        print(f"[{number}/{len(steps)}] {step.name}: {step.command}, log {short(log)}", flush=True)
        outcome = run_step(step, folder, log)
        done.append(outcome)
        if outcome.result == FAIL:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            print("\n".join(f"    {line}" for line in (lines if whole_logs else lines[-LAST_LINES:])))
        so_far = summary.minutes(sum(each.seconds for each in done))
        print(f"    {outcome.result}: {outcome.figure}, {outcome.seconds:.0f} s, so far {so_far}", flush=True)
        waiting = [Outcome(each.name, NOT_RUN) for each in steps[number:]]
        # After every step: a machine that goes down leaves what ran.
        text = summary.write_summary(output / "verify.md", head, [*done, *waiting])
        if ASKED_TO_END.is_set():
            break
    print(f"\n{text}\n{short(output / 'verify.md')}")
    return INTERRUPTED if ASKED_TO_END.is_set() else int(any(each.result == FAIL for each in done))


def check(name: str) -> int:
    """Run one check, print what was found and what is wrong, and return the exit code."""
    try:
        found, wrong = CHECKS[name]()
    except (OSError, OrganizerError, Problem) as error:
        print(error)
        return 2
    print("\n".join([f"found: {found}", *(f"wrong: {text}" for text in wrong)]))
    return int(bool(wrong))


def _bars() -> tuple[str, list[str]]:
    return check_bars(json.loads((OUTPUT / "benchmark" / "benchmark.json").read_text(encoding="utf-8")))


# What each found, and what is wrong.
CHECKS: dict[str, Callable[[], tuple[str, list[str]]]] = {
    "bars": _bars,
    "gallery": lambda: check_gallery(ROOT),
    "kit": lambda: check_kit(ROOT),
    "reference": check_reference,
}


if __name__ == "__main__":
    # A check ends at once; whoever runs steps first ends the step.
    (raise_when_interrupted if "--check" in sys.argv else listen)()
    run_program(main, "verify.py")
