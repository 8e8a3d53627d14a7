"""`run`: score a policy with the programs that the platform uses."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from placement.evaluation.temporary import fresh_folder
from placement.grid import Case, Grid
from scores.companions import read_companions
from scores.comparison import case_name, read_reference, read_results
from scores.problems import EXIT_CODES, sentence
from scores.seconds_table import HEADINGS, advice_lines, text_rows
from scores.table import aligned, cells

from . import options as shared
from .frame import RunFailed, frame_of, pairs_of, read_frame
from .machine import check_isolation
from .model_layers import add_layers
from .named_paths import check_output
from .options import show
from .placed import placed
from .places import GRIDS, INGESTION, KIT, OUTPUT, SCORING, short
from .policy_folder import named_policy, staged
from .program import run_quiet, run_shown
from .repeat import repeat_line
from .runs import keep, previous
from .seeds import World
from .selection import grid_of, read_grid, select, write_grid
from .streamed import StreamedWorld, add_stream, ingest_stream, measure_stream_once, streamed_world
from .worlds import ESTIMATE, check_reference, check_traces, grid_for, official_estimate, world_of

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = """
run  score the template on the sample grid
run my_policy --jobs 1  score my_policy/policy.py
run submission.zip  score the zip that will be uploaded
run my_policy --case DS-R1/generated:64  score one case; prints what to change, makes no page
run my_policy --grid practice  full-size generated traces, made at first use; about a minute
run --traces traces  your own traces; the grid is made, and DS-EPLB measured, at first use
run --placement map.json --case DS-R1/generated:64  a placement file of a serving engine, kept from the first call on
run --generate DS-R1/LmSys --iterations 200000 --case DS-R1/LmSys:32  a trace of any length, drawn during the run
run --grid my_grid.yaml --traces traces --reference reference  your own grid and traces
"""
SHOWN = ("case", "mean_par", "transmit_amount", "modeled_seconds", "case_score", "policy_seconds")
NO_RESULTS = "The ingestion program left no results. Next: read the messages above."


def add_run(commands: Any) -> None:
    """Declare the command `run`."""
    parser = shared.add_command(commands, "run", "score a policy with the programs that the platform uses", EXAMPLES)
    shared.add_policy(parser)
    shared.add_grid(parser)
    shared.add_traces(parser)
    parser.add_argument(
        "--reference", type=Path, metavar="FOLDER", help="folder that holds ds_eplb.json (default: the grid's)"
    )
    shared.add_seed(parser)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder for results and page (default: output)")
    shared.add_cases(parser)
    shared.add_jobs(parser)
    parser.add_argument(
        "--placement",
        type=Path,
        metavar="FILE",
        help="score a placement file instead of a policy: a file in any form of kit.py export, applied at the first "
        "call and kept",
    )
    add_layers(parser, "with --placement: ")
    add_stream(parser)
    parser.set_defaults(run=run_command, grid=None)


def run_command(options: argparse.Namespace) -> int:
    """Run ingestion and scoring as the platform does; print the score or the next step last; return the exit code."""
    named = _named(options)
    shared.check_least("--jobs", options.jobs, 1)
    for name in ("prediction", "scoring"):
        check_output("--output", options.output / name)
    if streamed := streamed_world(options):
        return _run_stream(options, named, streamed)
    file = grid_for(options.grid, options.traces)
    whole = read_grid(file)
    check_isolation(whole, file)
    some = _some_cases(whole, options.cases)
    world = world_of(options.grid, options.traces, options.reference, options.seed, options.jobs, show)
    check_traces(world, some or whole.cases)
    check_reference(world, whole, some or whole.cases, options.reference is not None and options.traces is None)
    with ExitStack() as stack:
        policy = options.policy
        if options.placement:
            cases = (some or whole.cases, whole.cases)
            policy = stack.enter_context(placed(options.placement, *cases, world.traces, options.layers))
        return _run(options, named, policy, file, whole, some, world)


def _run_stream(options: argparse.Namespace, named: Path, streamed: StreamedWorld) -> int:
    """As run_command, of a trace that is drawn meanwhile."""
    whole = read_grid(streamed.grid)
    check_isolation(whole, streamed.grid)
    measure_stream_once(streamed, show)
    check_reference(streamed.world, whole, whole.cases)
    return _run(options, named, options.policy, streamed.grid, whole, None, streamed.world, streamed)


def _named(options: argparse.Namespace) -> Path:
    """The name of what is scored, for the list of runs and the page. Raises UsageError."""
    if not options.placement:
        if options.layers:
            expected, next_step = "--layers with --placement", "leave --layers out"
            raise shared.UsageError("--layers needs --placement", "no --placement", expected, next_step)
        named_policy(options.policy)
        return options.policy
    if options.policy != KIT:
        expected, next_step = "a policy or a placement", "leave one of them out"
        raise shared.UsageError("both a policy and --placement are named", str(options.policy), expected, next_step)
    return options.placement


def _run(
    options: argparse.Namespace,
    named: Path,
    policy: Path,
    file: Path,
    whole: Grid,
    some: list[Case] | None,
    world: World,
    streamed: StreamedWorld | None = None,
) -> int:
    """Run and score a checked policy; named: the policy's name for runs and page."""
    prediction, scoring = options.output / "prediction", options.output / "scoring"
    # An earlier run's results must not be scored, or shown, should this one not end; a wrong option takes none away,
    # and some cases, which have no page, leave that of the last whole grid.
    page = scoring / "detailed_results.html"
    for path in (prediction / "results.json", *(() if some else (scoring / "scores.json", page))):
        path.unlink(missing_ok=True)
    with staged(policy) as submission, fresh_folder() as temporary:
        grid = file
        if some:
            grid = temporary / "grid.yaml"
            write_grid(grid, grid_of(file, some))
        if streamed:
            ingest_stream(submission, streamed, prediction)
        else:
            paths = {"submission": submission, "traces": world.traces, "grid": grid, "output": prediction}
            arguments = [argument for name, path in paths.items() for argument in (f"--{name}", path)]
            run_shown(INGESTION / "ingestion.py", *arguments, "--jobs", options.jobs)
    if not (prediction / "results.json").is_file():
        print(NO_RESULTS)
        return 2
    if some:
        left = f"; {short(page)} is still the page of the last whole grid" if page.is_file() else ""
        print(f"page: none for some cases{left}", flush=True)
        return _show_some(prediction, world.reference, some, len(whole.cases), options.typed)
    results = read_results((prediction / "results.json").read_bytes())
    if results["status"] == "data_unavailable":
        # What the scoring program says then is for organizers.
        print(f"No score: data_unavailable: {sentence(results['failure'])}")
        return EXIT_CODES["data_unavailable"]
    print(f"page: {short(page)}", flush=True)
    folders = ["--results", prediction, "--reference", world.reference, "--output", scoring]
    # With an equals sign: a name may begin with a hyphen.
    folders.append(f"--policy={short(named)}")
    if before := previous(options.output, world.reference, named):
        folders += ["--previous", before[0], f"--previous-policy={before[1]}"]
    # Its few lines come at once: nothing to draw a bar for.
    code = subprocess.run([sys.executable, SCORING / "scoring.py", *folders], check=False).returncode
    if code not in (0, *EXIT_CODES.values()):
        print(f"No score: the scoring program ended with exit code {code}. Next: repeat the command.")
        return 2
    estimate: float | str = "-"
    if code == 0 and file == GRIDS["practice"]:
        estimate = official_estimate(read_frame(prediction, world.reference, None))
    try:
        keep(options.output, world.reference, named, estimate, world.traces)
    except OSError as error:
        # The score stands.
        print(f"kit.py run: this run is not kept: {error}", file=sys.stderr)
    if (failed := _failed(results)) and len(whole.cases) > 1:
        print(repeat_line(options.typed, whole.cases, failed))
    if isinstance(estimate, float):
        print(f"{ESTIMATE}: {estimate:.4f}")
    return code


def run(
    policy: str | Path,
    grid: str | Path | None = None,
    traces: str | Path | None = None,
    reference: str | Path | None = None,
    cases: Sequence[str] | None = None,
    jobs: int | None = None,
    verbose: bool = False,
) -> pd.DataFrame:
    """Score a policy and return one row for each case; `.attrs["composite_score"]` is the score over the whole grid.

    policy: a folder with policy.py; grid, traces, reference: as the options of the command; cases: some cases, such as
    ["DS-R1/generated:64"] (`.attrs` then has `mean_case_score` instead); jobs: traces replayed at the same time;
    verbose: print the output of the ingestion program. Raises RunFailed when a case has no score, UsageError for a
    missing policy, case or trace and for a reference of another grid, and problems.FileError for results that do not
    fit the reference.
    """
    import pandas as pd

    file = grid_for(grid, traces)
    whole = read_grid(file)
    check_isolation(whole, file)
    some = _some_cases(whole, cases)
    world = world_of(grid, traces, reference, jobs=jobs or shared.JOBS)
    check_traces(world, some or whole.cases)
    check_reference(world, whole, some or whole.cases, reference is not None and traces is None)
    with staged(policy) as submission, fresh_folder() as output:
        if some:
            write_grid(output / "grid.yaml", grid_of(file, some))
            file = output / "grid.yaml"
        log = ingest(submission, file, world.traces, output, jobs or shared.JOBS)
        if verbose:
            print(log, end="")
        if not (output / "results.json").is_file():
            raise RunFailed(log or NO_RESULTS, pd.DataFrame(), "data_unavailable")
        return read_frame(output, world.reference, some)


def ingest(submission: Path, grid: Path, traces: Path, output: Path, jobs: int) -> str:
    """Run the ingestion program with results in `output`, and return what the program printed."""
    paths = ("--submission", submission, "--traces", traces, "--grid", grid, "--output", output)
    return run_quiet(INGESTION / "ingestion.py", *paths, "--jobs", jobs)[1]


def _some_cases(whole: Grid, names: Sequence[str] | None) -> list[Case] | None:
    """The named cases; None when they are the whole grid. Raises UsageError."""
    cases = select(whole, names)
    return None if len(cases) == len(whole.cases) else cases


def _failed(results: dict[str, Any]) -> list[str]:
    """The names of the failed cases."""
    return [case_name(row) for row in results["cases"] if row["status"] != "ok"]


def _show_some(prediction: Path, reference: Path, cases: list[Case], of: int, typed: Sequence[str]) -> int:
    """Print the table and the score of some cases, and return the exit code; typed: as for repeat_line."""
    content = read_results((prediction / "results.json").read_bytes())
    stored = read_reference(reference / "ds_eplb.json")
    try:
        frame = frame_of(content, stored, cases)
    except RunFailed as error:
        mend = (
            ". Next: correct the policy as the messages above say"
            + " and repeat the same command" * (len(cases) == 1)
            + "."
        )
        print("No score" + (mend if error.status == "failed" else f": {error.status}: {error}"))
        if error.status == "failed" and len(cases) > 1:
            print(repeat_line(typed, cases, _failed(content)))
        return EXIT_CODES[error.status]
    frame["case"] = [case_name(row) for row in frame.to_dict("records")]
    print(aligned(*cells(frame[list(SHOWN)])))
    companions = read_companions(prediction, reference, content["cases"])
    pairs = pairs_of(content, stored, cases)
    if parts := text_rows(pairs, companions):
        print(aligned(HEADINGS, parts))
    # What a page would say.
    for line in advice_lines(pairs, companions):
        print(line)
    print(f"mean case score over {len(cases)} of {of} cases: {frame.attrs['mean_case_score']:.4f}")
    return 0
