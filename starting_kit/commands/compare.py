"""`compare`: several policies over seeds of generated traces, with a verdict (better or tie); or two finished runs."""

from __future__ import annotations

import argparse
import math
import string
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from placement.traces.whole_file import write_whole
from scores.comparison import case_name
from scores.problems import EXIT_CODES
from scores.table import aligned, cells

from . import options as shared
from .argument_types import integer_from
from .compare_plot import check_plot, draw
from .compare_runs import PARTS_HEADINGS, compare_runs
from .compare_table import as_csv, shown, side_by_side
from .executor import add_executor, chosen
from .frame import RunFailed
from .machine import check_isolation
from .named_paths import check_folder, check_output
from .options import show
from .places import OUTPUT, TRACES, short
from .policy_folder import named_policy
from .run import run
from .runs import find_run
from .seeds import FIRST_SEED, Draws, announce, folder_of, make_world, recipes
from .selection import read_grid, select
from .unit_jobs import keep_all
from .units import run_kept
from .verdict import NOT_KNOWN
from .worlds import grid_for, world_of

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = """
compare my_policy starting_kit/policies/ds_eplb  on traces like the sample traces, drawn from five seeds
compare first second third --seeds 10 --case DS-R1/generated:64  one case, over ten seeds
compare first second --seeds 0  on the sample traces themselves, without a verdict
compare first second --csv table.csv --plot picture.svg  write the table and a picture
compare 20261128T195300.125-0123456789ab 20261128T201500.875-ba9876543210  two finished runs, named as `runs` prints
"""
SEEDS = 5
COMPOSITE = "composite_score"
# Finished runs are compared as they are.
OF_POLICIES = ("grid", "traces", "reference", "seeds", "first_seed", "iterations", "output", "cases", "jobs")


def add_compare(commands: Any) -> None:
    """Declare the command `compare`."""
    parser = shared.add_command(
        commands, "compare", "say which of several policies is better, or that they tie", EXAMPLES
    )
    told = "two or more folders with policy.py; or two runs, by the names that `runs` prints"
    parser.add_argument("policies", nargs="+", type=Path, metavar="POLICY", help=told)
    shared.add_grid(parser)
    shared.add_traces(parser)
    parser.add_argument(
        "--reference", type=Path, metavar="FOLDER", help="with --seeds 0: folder that holds ds_eplb.json"
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=SEEDS,
        metavar="N",
        help=f"draw traces from N seeds (default: {SEEDS}) and keep them, about 976 MB per seed for the practice "
        "grid; 0: use the traces of --traces",
    )
    parser.add_argument(
        "--first-seed",
        type=integer_from(0),
        default=FIRST_SEED,
        metavar="N",
        help=f"the first seed; the others follow it (default: {FIRST_SEED})",
    )
    parser.add_argument(
        "--iterations", type=int, metavar="N", help="length of the drawn traces (default: as the traces in --traces)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=OUTPUT / "compare",
        help="folder that keeps drawn traces and scores (default: output/compare)",
    )
    shared.add_cases(parser)
    shared.add_jobs(parser)
    add_executor(parser)
    parser.add_argument("--csv", type=Path, metavar="FILE", help="file for the whole table")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="file for a picture, .svg or .png (needs matplotlib)")
    parser.set_defaults(run=partial(compare_command, default=parser.get_default), grid=None)


def compare_command(options: argparse.Namespace, default: Callable[[str], Any]) -> int:
    """Print the table and, as the last lines, the verdict of each pair; return the exit code.

    default: gives the default value of an option.
    """
    shared.check_least("--jobs", options.jobs, 1)
    for name in ("csv", "plot"):
        if (path := getattr(options, name)) and path.is_dir():
            raise shared.UsageError(f"--{name} is a folder", str(path), "a file", f"correct --{name}")
    if options.plot:
        check_plot(options.plot)
    runs = [find_run(name) for name in options.policies]
    given = {key: getattr(options, key) for key in OF_POLICIES}
    try:
        if any(runs):
            frame = compare_runs(_only_runs(options.policies, runs, given, default))
        else:
            with chosen(options.executor, options.dask_address, options.jobs) as executor:
                frame = compare(*options.policies, **given, executor=executor, show=show)
    except RunFailed as error:
        mend = " Next: correct the policy and repeat the same command." * (error.status != "data_unavailable")
        print(f"{error}\nNo comparison.{mend}")
        return EXIT_CODES[error.status]
    for letter, policy in frame.attrs["policies"].items():
        print(f"{letter}: {policy}")
    print(aligned(*cells(shown(frame, verdicts=not any(runs)))))
    if parts := frame.attrs.get("parts"):
        print(aligned(PARTS_HEADINGS, parts))
    for path, content in _files(options, frame):
        write_whole(path, content)
        print(f"written: {short(path)}")
    for line in frame.attrs["verdicts"]:
        print(line)
    return 0


def compare(
    *policies: str | Path,
    grid: str | Path | None = None,
    traces: str | Path | None = None,
    reference: str | Path | None = None,
    seeds: int = SEEDS,
    first_seed: int = FIRST_SEED,
    iterations: int | None = None,
    cases: Sequence[str] | None = None,
    jobs: int | None = None,
    output: str | Path = OUTPUT / "compare",
    executor: Executor | None = None,
    show: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """Case scores of policies A, B, ... and their differences: one row for each case, and last the mean of the cases.

    Columns: mean and standard deviation over seeds for each policy; for each pair the mean difference, the ends of its
    95 % interval (paired over seeds) and the verdict: `A is better`, `B is better`, `tie`, or `not known` for fewer
    than two seeds. Only the last row has a verdict: among many cases, one easily differs by chance. Scores of a seed
    are kept, and measured again only when policy, traces, settings or programs change.

    `.attrs["verdicts"]` has a sentence for each pair. executor: of concurrent.futures, for runs on drawn traces. The
    other arguments are the command's options. Raises UsageError, and what `run` raises.
    """
    if not 2 <= len(policies) <= len(string.ascii_uppercase):
        expected = f"2 to {len(string.ascii_uppercase)} folders with policy.py"
        raise shared.UsageError("compare needs several policies", str(len(policies)), expected, "name another folder")
    shared.check_least("--seeds", seeds, 0)
    if traces is not None:
        check_folder("--traces", Path(traces), "traces")
    if seeds and reference is not None:
        expected, next_step = "--seeds 0 with --reference, or drawn traces without --reference", "leave one of them out"
        raise shared.UsageError("--reference needs --seeds 0", f"--seeds {seeds}", expected, next_step)
    check_output("--output", Path(output))
    folders = {letter: named_policy(policy) for letter, policy in zip(string.ascii_uppercase, policies, strict=False)}
    # Drawn traces take only their lengths from --traces.
    file = grid_for(grid, None if seeds else traces)
    whole = read_grid(file)
    check_isolation(whole, file)
    chosen = select(whole, cases)
    rows = [case.name for case in chosen]
    full = len(chosen) == len(whole.cases)
    last = COMPOSITE if full else f"mean of {len(chosen)} of {len(whole.cases)} cases"
    # Each policy's scores, by seed: the cases', and their mean.
    scores: dict[str, list[list[float]]] = {letter: [] for letter in folders}
    numbers = range(first_seed, first_seed + seeds)
    if seeds:
        drawn = recipes(whole, chosen, Path(traces or TRACES), iterations)
        draws = Draws(folder_of(Path(output), file, chosen, drawn), file, chosen, drawn)
        announce(draws, numbers, show)
    if executor and seeds:
        drawn_worlds = [make_world(draws, seed, jobs or shared.JOBS, show) for seed in numbers]
        keep_all(folders.values(), drawn_worlds, Path(output) / "units", executor, show)
    for seed in numbers or [None]:
        if seed is None:
            world = world_of(grid, traces, reference, jobs=jobs or shared.JOBS, show=show)
        else:
            world = make_world(draws, seed, jobs or shared.JOBS, show)
        for letter, folder in folders.items():
            try:
                if seed is None:
                    frame = run(folder, world.grid, world.traces, world.reference, cases=cases, jobs=jobs)
                else:
                    frame = run_kept(folder, world, Path(output) / "units", jobs or shared.JOBS)
            except RunFailed as error:
                raise RunFailed(f"{letter}: {short(folder)}: {error}", error.rows, error.status) from None
            by_name = {case_name(row): float(row["case_score"]) for row in frame.to_dict("records")}
            case_scores = [by_name[name] for name in rows]
            scores[letter].append([*case_scores, math.fsum(case_scores) / len(case_scores)])
        means = ", ".join(f"{letter} {scores[letter][-1][-1]:.4f}" for letter in folders)
        show(f"{'these traces' if seed is None else f'seed {seed}'}: {means}")
    table = side_by_side([*rows, last], scores)
    table.attrs["policies"] = {letter: str(short(folder)) for letter, folder in folders.items()}
    table.attrs["verdicts"] = [_line(table, *pair, last, seeds) for pair in combinations(folders, 2)]
    return table


def _only_runs(
    names: Sequence[Path], runs: Sequence[Path | None], given: dict[str, Any], default: Callable[[str], Any]
) -> list[Path]:
    """The folders of the runs. Raises UsageError for a policy among the runs, and for an option that needs policies."""
    if None in runs:
        got, expected = str(names[runs.index(None)]), "RUN RUN, or POLICY POLICY"
        raise shared.UsageError("a run is compared with a policy", got, expected, "name two runs, or two policies")
    for key, value in given.items():
        if value != default(key):
            option = "--case" if key == "cases" else f"--{key.replace('_', '-')}"
            raise shared.UsageError(
                "an option does not go with two runs", option, "RUN RUN alone", f"leave {option} out"
            )
    return [folder for folder in runs if folder]


def _files(options: argparse.Namespace, table: pd.DataFrame) -> Iterator[tuple[Path, bytes]]:
    if options.csv:
        yield options.csv, as_csv(table).encode("utf-8")
    if options.plot:
        yield options.plot, draw(table, options.plot.suffix)


def _line(table: pd.DataFrame, first: str, second: str, row: str, seeds: int) -> str:
    name = f"{second} - {first}"
    mean, low, high, word = (table.loc[row, f"{name}{end}"] for end in ("", " low", " high", " verdict"))
    if word == NOT_KNOWN:
        return f"{row}: {name} = {mean:+.4f}; one set of traces gives no verdict. Next: --seeds {SEEDS}"
    return f"{row}: {name} = {mean:+.4f} (95 %: {low:+.4f} .. {high:+.4f}) over {seeds} seeds: {word}"
