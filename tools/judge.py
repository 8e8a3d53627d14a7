"""What the grids and the generated traces are worth for judging policies.

    python tools/judge.py rank        scores policies on the sample, practice and official grid: a table, and how well
                                      the first two rank as the third; 3.2 GB in output/ at first use
    python tools/judge.py by-heart    what policies gain that know the timing of one seed's traces, or of the family

What was measured before is kept in output/ and not measured again, as long as all that goes into it is the same.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / name) for name in ("tools", "starting_kit", "ingestion_program", "scoring_program")]

from commands.frame import RunFailed
from commands.options import JOBS, PRACTICE_SEED, show
from judging.gains import measure_switches, measure_wave, switches_table, wave_table
from judging.ranking import KEPT, score_all, spearman, table, worlds
from judging.variants import write_policies
from placement.errors import OrganizerError, Problem
from traces.generation.profile import FOLDER, read_profile

OFFICIAL_SEED = 601


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, or 2 when something cannot be measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    rank = commands.add_parser("rank", help="how well the sample and the practice grid rank policies")
    rank.add_argument("--practice-seed", type=int, default=PRACTICE_SEED, metavar="N", help="default: %(default)s")
    rank.add_argument("--official-seed", type=int, default=OFFICIAL_SEED, metavar="N", help="default: %(default)s")
    rank.add_argument("--jobs", type=int, default=JOBS, help="traces replayed at the same time (default: %(default)s)")
    rank.set_defaults(run=run_rank)
    by_heart = commands.add_parser("by-heart", help="what knowing the timing of generated traces is worth")
    by_heart.set_defaults(run=run_by_heart)
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


def run_by_heart(options: argparse.Namespace) -> None:
    """Print what is gained on DS-R1/LmSys, a wave, and on DS-R1/Mix, which switches. Raises OrganizerError."""
    for dataset, measure, table_of in (
        ("LmSys", measure_wave, wave_table),
        ("Mix", measure_switches, switches_table),
    ):
        profile = read_profile(FOLDER / "DS-R1" / f"{dataset}.yaml")
        measured = measure(profile, show)
        print(f"\n{profile.name}, mean of {len(measured)} seeds (standard error):\n\n{table_of(measured)}\n")


if __name__ == "__main__":
    sys.exit(main())
