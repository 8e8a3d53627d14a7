"""`sweep`: trusted policies at many settings on traces or dumps, as one table. The policies run without the sandbox."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from placement.errors import OrganizerError
from placement.grid import Case, Cost
from placement.grid_values import checked_numbers
from placement.traces.whole_file import write_whole
from scores.problems import EXIT_CODES
from scores.table import aligned, cells
from sweeps.cases import Axes, cases_of
from sweeps.choice import HEADINGS, choices
from sweeps.job import made_with
from sweeps.output import alone
from sweeps.page import page
from sweeps.plan import OK, Plan, Unit
from sweeps.pool import processes, run_all
from sweeps.table import as_csv, as_markdown, cost_text, narrowed, shown, table_of
from sweeps.trace_file import TraceFile

from . import options as shared
from .argument_types import integer_from
from .bar import Bar
from .executor import add_executor, chosen
from .fitting import fitting_eps, fitting_window
from .named_paths import check_output
from .options import UsageError, show
from .places import GRID, KIT, OUTPUT, short
from .seeds import FIRST_SEED
from .selection import read_grid
from .sweep_policies import all_variants, joined, parameter, staged_variants
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
BASELINE = KIT / "policies" / "ds_eplb"
COST = tuple(field.name for field in fields(Cost))
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
    _add_axes(parser)
    told = f"constants of the cost, as grids have them: {', '.join(COST)} (default: the grids')"
    parser.add_argument("--cost", nargs="+", type=constant, default=[], metavar="NAME=NUMBER", help=told)
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


def _add_axes(parser: argparse.ArgumentParser) -> None:
    """Declare the options with settings to vary."""
    parser.add_argument(
        "--ep", nargs="+", type=integer_from(1), metavar="N", help="numbers of devices (default: all that fit)"
    )
    parser.add_argument(
        "--redundant",
        nargs="+",
        type=integer_from(0),
        metavar="N",
        help="numbers of redundant experts (default: as many as devices)",
    )
    parser.add_argument(
        "--window",
        nargs="+",
        type=integer_from(1),
        metavar="N",
        help="collection windows (default: one window that fits)",
    )
    parser.add_argument(
        "--parameter",
        action="append",
        default=[],
        type=parameter,
        metavar="NAME=VALUE,VALUE",
        help="set the constant NAME (in upper case) of policy.py to each value; repeatable: all combinations are "
        "measured",
    )


def sweep_command(options: argparse.Namespace) -> int:
    """Print the table, write the files and return the exit code: 1 where a case of a policy failed."""
    bar = Bar(sys.stdout, estimates=True) if sys.stdout.isatty() else None
    shared.check_least("--jobs", options.jobs, 1)
    given = {
        name: getattr(options, name) for name in ("ep", "redundant", "window", "seeds", "convert", "jobs", "output")
    }
    given |= {"show": bar.line, "tick": bar.draw} if bar else {"show": show}
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
    tick: Callable[[], None] = lambda: None,
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
    prices = _cost(cost or {})
    with alone(output):
        made = all_variants(_listed(policies), parameters or {}, output / "policies", show)
        found = named_traces([Path(path) for path in _listed(traces)], convert, output / "converted", show)
        if seeds:
            windows = window or [fitting_window(trace.shape[0]) for trace in found]
            found = drawn_traces(found, windows, range(FIRST_SEED, FIRST_SEED + seeds), output / "drawn", show)
        ((baseline, _),) = staged_variants([BASELINE], {}, output / "policies")
        fitting = _cases(found, ep, redundant, window, show)
        bases = {trace.name: Unit(baseline, trace, cases) for trace, cases in fitting}
        units = [Unit(variant, trace, cases) for trace, cases in fitting for variant in made]
        plan = Plan([*bases.values(), *units], prices, output / "units")
        _measure(plan, executor, jobs, output, show, tick)
        return table_of(plan, units, bases, prices)


def constant(text: str) -> tuple[str, float]:
    """A constant of the cost and its number."""
    name, _, number = text.partition("=")
    for kind in (int, float):
        with suppress(ValueError):
            return name, kind(number)
    raise argparse.ArgumentTypeError(f"{text!r} is not NAME=NUMBER")


def _measure(
    plan: Plan, executor: Executor | None, jobs: int, output: Path, show: Show, tick: Callable[[], None]
) -> None:
    missing = plan.missing(jobs)
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

    try:
        if executor is not None:
            run_all([job for _, job in missing], executor, finished, tick)
        elif missing:
            with processes(jobs) as threads:
                run_all([job for _, job in missing], threads, finished, tick)
    except KeyboardInterrupt:
        # With those of the jobs that were ended.
        plan.look()
        done, cases = plan.count()
        show(f"{done} of {cases} cases are kept in {short(output / 'units')}; repeat the same command to continue")
        raise


def _cost(given: Mapping[str, float]) -> Cost:
    """The cost of the grids with other values for some constants. Raises UsageError."""
    try:
        return checked_numbers(Cost, {**vars(read_grid(GRID).cost), **given}, "cost")
    except OrganizerError as error:
        raise UsageError(error.what, error.got, error.expected, "correct --cost") from None


def _cases(
    traces: Sequence[TraceFile],
    ep: Sequence[int] | None,
    redundant: Sequence[int] | None,
    window: Sequence[int] | None,
    show: Show,
) -> list[tuple[TraceFile, tuple[Case, ...]]]:
    """The cases of each trace that has any; what is left out is shown. Raises UsageError where no case fits a trace."""
    fitting, said = [], []
    for trace in traces:
        iterations, _, experts = trace.shape
        axes = Axes(ep or fitting_eps(experts), redundant, window or [fitting_window(iterations)])
        cases, notes = cases_of(trace, axes)
        said += notes
        if cases:
            fitting.append((trace, tuple(cases)))
    if not fitting:
        expected = "ep that divides the experts and the redundant ones together, window + 2 iterations"
        raise UsageError("no case fits", "; ".join(said), expected, "correct --ep, --redundant or --window")
    for line in said:
        show(line)
    return fitting


def _listed(values: Sequence[str | Path] | str | Path) -> Sequence[str | Path]:
    return [values] if isinstance(values, str | Path) else values
