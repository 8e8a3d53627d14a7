"""`sweep`: trusted policies at many settings on traces or dumps, as one table. The policies run without the sandbox."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from placement.traces.whole_file import write_whole
from scores.problems import EXIT_CODES
from scores.table import aligned, cells
from sweeps.choice import HEADINGS, choices
from sweeps.job import made_with
from sweeps.output import alone
from sweeps.page import page
from sweeps.plan import OK, Plan, Unit
from sweeps.pool import processes, run_all
from sweeps.table import as_csv, as_markdown, cost_text, narrowed, shown, table_of

from . import options as shared
from .bar import Bar
from .executor import add_executor, chosen
from .fitting import fitting_window
from .named_paths import check_output
from .options import show
from .places import KIT, OUTPUT, short
from .seeds import FIRST_SEED
from .sweep_grids import start_command, write_grids
from .sweep_policies import all_variants, joined, staged_variants
from .sweep_settings import add_settings, cost_with, fitting_cases
from .sweep_traces import drawn_traces, named_traces

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = """
sweep dump.jsonl --policy starting_kit/policies/champion starting_kit/policies/once --ep 32 --redundant 0 32 64  \
a dump, which is converted first
sweep traces --policy my_policy --window 256 1024 --parameter threshold=0.5,0.8  my_policy/policy.py with THRESHOLD = \
0.5, then 0.8
sweep sample_traces --policy my_policy --seeds 5  traces drawn from five seeds instead
"""
# Looks take a moment for each case: so only with every tenth tick, some five seconds apart.
LOOK_EVERY = 10
BASELINE = KIT / "policies" / "ds_eplb"
TRUSTED = "policies ran without the sandbox and without limits of time and memory"
Show = Callable[[str], None]


def add_sweep(commands: Any) -> None:
    """Declare the command `sweep`."""
    purpose = "measure trusted policies at many settings on traces or dumps"
    parser = shared.add_command(commands, "sweep", purpose, EXAMPLES)
    told = "folders of traces, trace files, or dumps; each dump (a file or a folder) is converted once"
    parser.add_argument("inputs", nargs="+", type=Path, metavar="TRACES_OR_DUMP", help=told)
    told = "folders with policy.py. The policies run without the sandbox: name only policies that you trust"
    parser.add_argument("--policy", nargs="+", required=True, type=Path, metavar="POLICY", dest="policies", help=told)
    add_settings(parser)
    parser.add_argument(
        "--seeds",
        type=int,
        default=0,
        metavar="N",
        help="instead of each trace, measure N traces of its size, drawn as compare draws them",
    )
    parser.add_argument(
        "--convert",
        default="",
        metavar="OPTIONS",
        help="options of convert for the dumps, as --convert='--from vllm --experts 8'",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=OUTPUT / "sweep",
        help="folder for the tables and what is kept (default: output/sweep)",
    )
    parser.add_argument("--jobs", type=int, default=shared.JOBS, help="number of processes (default: %(default)s)")
    add_executor(parser)
    parser.set_defaults(run=sweep_command)


def sweep_command(options: argparse.Namespace) -> int:
    """Print the table, write the files and the grids, and return the exit code: 1 where a case of a policy failed."""
    bar = Bar(sys.stdout, estimates=True) if sys.stdout.isatty() else None
    shared.check_least("--jobs", options.jobs, 1)
    given = {
        name: getattr(options, name) for name in ("ep", "redundant", "window", "seeds", "convert", "jobs", "output")
    }
    given |= {"show": bar.line, "tick": bar.count} if bar else {"show": show}
    try:
        with chosen(options.executor, options.dask_address, options.jobs) as executor:
            given |= {"parameters": joined(options.parameter), "cost": dict(options.cost)}
            frame = sweep(options.inputs, options.policies, executor=executor, **given)
    finally:
        if bar:
            bar.erase()
    same, table = narrowed(shown(frame))
    print(f"{same}\n{aligned(*cells(table))}".lstrip())
    print(aligned(HEADINGS, choices(frame)) if (frame["status"] == OK).any() else "no case has a result")
    texts = {"csv": as_csv(frame), "md": as_markdown(frame), "html": page(frame, TRUSTED, made_with())}
    for suffix, text in texts.items():
        name = f"sweep.{suffix}"
        write_whole(options.output / name, text.encode("utf-8"))
        print(f"written: {short(options.output / name)}")
    print(f"cost: {cost_text(frame.attrs['cost'])}; --cost sets others\n{TRUSTED}")
    grids = write_grids(options.output / "grids", frame.attrs["cases"], frame.attrs["cost"])
    if command := start_command(frame, grids, options.output):
        print(f"to start an engine from the fastest case: {command}")
    for line in frame.attrs["failed"]:
        print(line)
    if frame.attrs["failed"]:
        policies = dict.fromkeys(frame["policy"][frame["status"] != OK])
        print(f"failed: {', '.join(policies)}. Next: correct what is named above; all other results are kept")
    return EXIT_CODES["failed"] if frame.attrs["failed"] else 0


def sweep(
    traces: Sequence[str | Path] | str | Path,
    policies: Sequence[str | Path] | str | Path,
    *,
    ep: Sequence[int] | None = None,
    redundant: Sequence[int] | None = None,
    window: Sequence[int] | None = None,
    parameters: Mapping[str, Sequence[Any]] | None = None,
    cost: Mapping[str, float] | None = None,
    seeds: int = 0,
    convert: str = "",
    executor: Executor | None = None,
    jobs: int = shared.JOBS,
    output: str | Path = OUTPUT / "sweep",
    show: Show = lambda line: None,
    tick: Callable[[int, int], None] = lambda done, cases: None,
) -> pd.DataFrame:
    """Measure policies: one row for each policy, its parameters, and case. The columns are sweeps.table.COLUMNS.

    executor: any of concurrent.futures whose workers can import this kit; without one, `jobs` processes of this
    machine. parameters: values by name; cost: constants by name; other arguments as the command's options. A policy
    that fails has rows with its status, and `.attrs["failed"]` says how. What is finished is kept in the output folder,
    which one sweep at a time may use, and found by the next sweep. Raises UsageError, OrganizerError and Problem.
    """
    shared.check_least("--jobs", jobs, 1)
    shared.check_least("--seeds", seeds, 0)
    output = Path(output)
    check_output("--output", output)
    prices = cost_with(cost or {})
    with alone(output):
        made = all_variants(_listed(policies), parameters or {}, output / "policies", show)
        found = named_traces([Path(path) for path in _listed(traces)], convert, output / "converted", show)
        if seeds:
            windows = window or [fitting_window(trace.shape[0]) for trace in found]
            found = drawn_traces(found, windows, range(FIRST_SEED, FIRST_SEED + seeds), output / "drawn", show)
        ((baseline, _),) = staged_variants([BASELINE], {}, output / "policies")
        fitting = fitting_cases(found, ep, redundant, window, show)
        bases = {trace.name: Unit(baseline, trace, cases) for trace, cases in fitting}
        units = [Unit(variant, trace, cases) for trace, cases in fitting for variant in made]
        plan = Plan([*bases.values(), *units], prices, output / "units")
        _measure(plan, executor, jobs, output, show, tick)
        frame = table_of(plan, units, bases, prices)
        frame.attrs |= {"cases": fitting, "policies": {variant.title: variant.folder for variant in made}}
        return frame


def _measure(
    plan: Plan, executor: Executor | None, jobs: int, output: Path, show: Show, tick: Callable[[int, int], None]
) -> None:
    # Two for each process: policies differ, and none is to wait long for the last.
    missing = plan.missing(2 * jobs)
    units = {id(job): unit for unit, job in missing}
    kept, cases = plan.count()
    # The time that is left is counted from this line on.
    earlier = f"kept from an earlier sweep in {short(output / 'units')}" if kept else "cases are measured"
    show(f"[{kept}/{cases}] {earlier}")

    def finished(job: Any, rows: list[dict[str, Any]]) -> None:
        plan.landed(units[id(job)], job.cases, rows)
        bad = sum(row["status"] != OK for row in rows)
        spent = sum(row["policy_seconds"] or 0 for row in rows)
        said = f"{len(rows)} cases, {spent:.1f} s of policy" + f", {bad} failed" * bool(bad)
        show("[{}/{}] {} on {}: {}".format(*plan.count(), job.title, job.trace.name, said))

    turns = count(1)

    def beat() -> None:
        # Jobs on this machine keep their cases one by one.
        if next(turns) % LOOK_EVERY == 0:
            plan.look()
        tick(*plan.count())

    try:
        if executor is not None:
            run_all([job for _, job in missing], executor, finished, beat)
        elif missing:
            with processes(jobs) as threads:
                run_all([job for _, job in missing], threads, finished, beat)
    except KeyboardInterrupt:
        # With those of the jobs that were ended.
        plan.look()
        done, cases = plan.count()
        show(f"{done} of {cases} cases are kept in {short(output / 'units')}; repeat the same command to continue")
        raise


def _listed(values: Sequence[str | Path] | str | Path) -> Sequence[str | Path]:
    return [values] if isinstance(values, str | Path) else values
