"""What the grids and the generated traces are worth for judging policies.

    python tools/judge.py rank        scores policies on the sample, practice and official grid: a table, and how well
                                      the first two rank as the third; 3.2 GB in output/ at first use
    python tools/judge.py by-heart    what policies gain that know the timing of one seed's traces, or of the family
    python tools/judge.py requests FILE
                                      the champion and two studies of its planner on streams of recorded requests
    python tools/judge.py yardsticks MODEL/DATASET
                                      what could be reached in hindsight, and by DS-EPLB for every iteration
    python tools/judge.py ablation    what each ingredient of the champion is worth; --requests FILE adds recorded ones

What was measured before is kept in output/ and not measured again, as long as all that goes into it is the same.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / name) for name in ("tools", "starting_kit", "ingestion_program", "scoring_program")]

from placement.evaluation.interruption import begin

if __name__ == "__main__":
    # Before the rest is imported, which takes its time.
    begin("judge.py", "judge.py: interrupted; finished measurements are kept and will not be repeated")

import argparse

import pandas as pd

from commands.argument_types import integer_from
from commands.composed import COMPOSED_ITERATIONS
from commands.frame import RunFailed
from commands.options import JOBS, PRACTICE_SEED, add_grid, add_traces, show
from commands.selection import read_grid, select
from commands.worlds import check_traces, world_of
from judging import ablation
from judging.board import GB, Place, measure
from judging.families import FAMILIES, STREAMS, TOPICS, composed_traces
from judging.gains import measure_switches, measure_wave, switches_table, wave_table
from judging.hindsight import yardsticks
from judging.ranking import KEPT, UNITS, score_all, spearman, table, worlds
from judging.streams import CHAMPION, RIVALS, comparison
from judging.variants import write_policies
from placement.errors import OrganizerError, Problem
from placement.evaluation.printing import run_program
from placement.evaluation.temporary import fresh_folder
from placement.traces.files import manifest_beside, open_trace
from scores.table import markdown
from traces.generation.profile import FOLDER, read_profile

OFFICIAL_SEED = 601
# Seeds that nothing was chosen on. A stream is drawn from 1000 times its seed and more; the streams that the champion's
# weights were chosen on, of seeds 801 to 803, were drawn from the seeds themselves.
STREAM_SEEDS = (911, 912, 913, 914, 915, 916)
ABLATION_SEED, ABLATION_REQUESTS_SEED = 701, 702


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, or 2 when something cannot be measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    rank = commands.add_parser("rank", help="measure how well the sample and the practice grid rank policies")
    rank.add_argument(
        "--practice-seed",
        type=int,
        default=PRACTICE_SEED,
        metavar="N",
        help="seeds of the practice grid (default: %(default)s)",
    )
    rank.add_argument(
        "--official-seed",
        type=int,
        default=OFFICIAL_SEED,
        metavar="N",
        help="seed of the grid's traces (default: %(default)s)",
    )
    rank.add_argument(
        "--jobs", type=int, default=JOBS, help="number of traces replayed at the same time (default: %(default)s)"
    )
    rank.set_defaults(run=run_rank)
    by_heart = commands.add_parser("by-heart", help="measure what knowing the timing of generated traces is worth")
    by_heart.set_defaults(run=run_by_heart)
    requests = commands.add_parser(
        "requests", help="compare the champion and two studies on streams of recorded requests"
    )
    requests.add_argument("file", type=Path, metavar="FILE", help="routing of recorded requests, .npz")
    requests.add_argument("--topics", type=Path, default=TOPICS, metavar="YAML", help="default: GPT-OSS-20B's")
    requests.add_argument(
        "--grid", type=Path, default=FAMILIES["requests"], help="sizes, window and costs (default: GPT-OSS-20B's)"
    )
    requests.add_argument(
        "--streams", nargs="+", choices=STREAMS, default=list(STREAMS), help="default: all, in this order"
    )
    requests.add_argument("--seeds", nargs="+", type=integer_from(0), default=STREAM_SEEDS, help="default: 911 .. 916")
    requests.add_argument("--iterations", type=integer_from(1), default=COMPOSED_ITERATIONS, help="%(default)s")
    requests.add_argument(
        "--jobs", type=integer_from(1), default=JOBS, help="number of policies at the same time (default: %(default)s)"
    )
    requests.set_defaults(run=run_requests)
    sticks = commands.add_parser(
        "yardsticks", help="measure what could be reached in hindsight: hours on the official grid"
    )
    sticks.add_argument("trace", metavar="MODEL/DATASET", help="a trace of the grid")
    sticks.add_argument("--ep", nargs="+", type=integer_from(1), metavar="N", help="default: each of the grid")
    add_grid(sticks)
    add_traces(sticks)
    sticks.set_defaults(run=run_yardsticks)
    without = commands.add_parser("ablation", help="measure what each ingredient of the champion is worth")
    without.add_argument(
        "--requests", type=Path, metavar="FILE", help="recorded requests (default: no columns for recorded requests)"
    )
    without.add_argument("--seed", type=integer_from(0), default=ABLATION_SEED, metavar="N", help="%(default)s")
    without.add_argument(
        "--requests-seed", type=integer_from(0), default=ABLATION_REQUESTS_SEED, metavar="N", help="%(default)s"
    )
    without.add_argument(
        "--ep", nargs="+", type=integer_from(1), metavar="N", help="only these ep (default: two for each family)"
    )
    without.add_argument(
        "--jobs", type=integer_from(1), default=JOBS, help="number of traces at the same time (default: %(default)s)"
    )
    without.set_defaults(run=run_ablation)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except (OrganizerError, Problem, RunFailed) as error:
        print(error)
        return 2
    return 0


def run_rank(options: argparse.Namespace) -> None:
    """Print the table and the two rank correlations. Raises UsageError and RunFailed."""
    places = worlds(options.practice_seed, options.official_seed, options.jobs, show)
    scores = score_all(write_policies(KEPT / "policies"), places, options.jobs, show)
    print(table(scores))
    for grid in ("practice", "sample"):
        print(f"Spearman, {grid} and official: {spearman(scores, grid, 'official'):.3f} ({len(scores)} policies)")


def run_requests(options: argparse.Namespace) -> None:
    """Print the paired comparison, cell by cell. Raises UsageError, OrganizerError and RunFailed."""
    files = (options.grid, options.topics)
    traces = composed_traces(options.file, options.seeds, *files, options.streams, options.iterations)
    # A folder of this run's, as another run beside it writes the policies anew.
    with fresh_folder() as folder:
        written = write_policies(folder / "policies")
        policies = {name: written[name] for name in (CHAMPION, *RIVALS)}
        place, rows = Place(UNITS, folder / "traces", GB, options.jobs), []
        for trace in traces:
            measured, failed = measure([trace], policies, place, show)
            if failed:
                text = "; ".join(f"{name}: {why}" for name, why in failed.items())
                raise RunFailed(text, pd.DataFrame(), "failed")
            rows += measured
    print(comparison(row for row in rows if row.policy in policies))


def run_yardsticks(options: argparse.Namespace) -> None:
    """Print DS-EPLB and its yardsticks on a trace's cases. Raises UsageError and OrganizerError."""
    world = world_of(options.grid, options.traces)
    grid = read_grid(world.grid)
    cases = select(grid, [f"{options.trace}:{ep}" for ep in options.ep] if options.ep else [options.trace])
    check_traces(world, cases)
    trace = open_trace(world.traces, cases[0].model, cases[0].dataset, manifest_beside(world.traces, []))
    rows = [row for case in cases for row in yardsticks(trace, case, grid.cost)]
    print(markdown(["case", "moves are free, except DS-EPLB's", "mean PAR", "case score"], rows, ".3f"))


def run_ablation(options: argparse.Namespace) -> None:
    """Print what each ingredient is worth. Raises OrganizerError and PolicyError."""
    wanted = ablation.columns(options.seed, options.requests_seed, options.requests, options.ep)
    print(ablation.table(ablation.measure_all(wanted, ablation.KEPT, options.jobs, show)))


def run_by_heart(options: argparse.Namespace) -> None:
    """Print what is gained on DS-R1/LmSys, a wave, and on DS-R1/Mix, which switches. Raises OrganizerError."""
    for dataset, gains_of, table_of in (
        ("LmSys", measure_wave, wave_table),
        ("Mix", measure_switches, switches_table),
    ):
        profile = read_profile(FOLDER / "DS-R1" / f"{dataset}.yaml")
        measured = gains_of(profile, show)
        print(f"\n{profile.name}, mean of {len(measured)} seeds (standard error):\n\n{table_of(measured)}\n")


if __name__ == "__main__":
    run_program(main, "judge.py")
