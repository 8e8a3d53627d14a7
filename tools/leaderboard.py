"""The gallery on one board: every policy of starting_kit/policies and the template, on traces of several seeds.

    python tools/leaderboard.py                    the official grid, three seeds: docs/leaderboard.md and its pictures
    python tools/leaderboard.py --quick            two policies on short traces, in output/leaderboard: that all works
    python tools/leaderboard.py mine edition1.py   the gallery and two more, by folder or file

Traces are drawn, used by all policies, and removed where --disk has no room. What is finished is kept in output/units:
the same command goes on where it was interrupted, and measures again only what has changed.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / name) for name in ("tools", "starting_kit", "ingestion_program", "scoring_program")]

from placement.evaluation.interruption import begin

INTERRUPTED = "leaderboard: interrupted; what is finished is kept; repeat the same command to continue"

if __name__ == "__main__":
    # Before the rest is imported, which takes its time.
    begin("leaderboard.py", INTERRUPTED)

import argparse
import datetime
import shutil
from contextlib import ExitStack

from commands.argument_types import integer_from
from commands.frame import RunFailed
from commands.options import JOBS, UsageError, show
from commands.places import KIT, OUTPUT, short
from commands.policy_folder import staged
from commands.units import libraries
from judging.board import GB, Place, measure
from judging.board_page import NO_PLOTS, Header, page
from judging.board_plots import draw
from judging.families import FAMILIES, traces_of
from judging.ranking import UNITS
from placement.errors import OrganizerError, Problem
from placement.evaluation.printing import run_program
from placement.evaluation.versions import versions
from placement.submission.receipt import policy_sha256, simulator_sha256
from placement.traces.whole_file import write_whole

SEEDS = (601, 602, 603)
QUICK_POLICIES = ("static", "ds_eplb")
DRAWN = OUTPUT / "leaderboard"
DOCS = ROOT / "docs"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, 1 when a policy failed, 2 when nothing can be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "policies", nargs="*", type=Path, metavar="POLICY", help="policies beside the gallery: folders or files"
    )
    parser.add_argument(
        "--quick", action="store_true", help="two policies, short traces, one seed, written into output/"
    )
    parser.add_argument("--families", nargs="+", choices=FAMILIES, metavar="FAMILY", help=", ".join(FAMILIES))
    parser.add_argument(
        "--requests", type=Path, metavar="FILE", help="recorded requests, required for the family requests"
    )
    parser.add_argument("--seeds", nargs="+", type=integer_from(0), metavar="N", help=f"seeds (default: {SEEDS})")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these policies of the gallery")
    parser.add_argument(
        "--output", type=Path, help="folder for leaderboard.md (default: docs; --quick: output/leaderboard)"
    )
    parser.add_argument(
        "--disk",
        type=float,
        default=8.0,
        metavar="GB",
        help="gigabytes for the traces that exist at the same time (default: 8)",
    )
    parser.add_argument(
        "--jobs", type=integer_from(1), default=JOBS, help="number of policies at the same time (default: %(default)s)"
    )
    parser.add_argument("--date", default=datetime.date.today().isoformat(), help="date on the board (default: today)")
    options = parser.parse_args(arguments)
    try:
        return run(options)
    except (OrganizerError, Problem, RunFailed) as error:
        print(error)
        return 2


def run(options: argparse.Namespace) -> int:
    """Measure, and write leaderboard.md and a picture for each family. Raises UsageError, OrganizerError, RunFailed."""
    families = options.families or (["sample"] if options.quick else ["official"])
    seeds = options.seeds or (SEEDS[:1] if options.quick else SEEDS)
    output = options.output or (DRAWN if options.quick else DOCS)
    traces = [trace for family in dict.fromkeys(families) for trace in traces_of(family, seeds, options.requests)]
    named = gallery(options.only or (QUICK_POLICIES if options.quick else ()))
    named |= others(options.policies, named)
    place = Place(UNITS, DRAWN / "traces", round(options.disk * GB), options.jobs)
    with ExitStack() as stack:
        folders = {name: stack.enter_context(staged(path)) for name, path in named.items()}
        rows, failed = measure(traces, folders, place, show)
        hashes = {name: policy_sha256(folder) for name, folder in folders.items()}
    pictures = {}
    for family in dict.fromkeys(families):
        if picture := draw([row for row in rows if row.family == family]):
            pictures[family] = f"leaderboard_{family}.svg"
            write_whole(output / pictures[family], picture)
    stated = versions() | libraries() | {"programs": simulator_sha256()}
    text = page(rows, Header(options.date, hashes, stated, failed), pictures or None)
    write_whole(output / "leaderboard.md", text.encode("utf-8"))
    show(f"{short(output / 'leaderboard.md')}: {len(named) - len(failed)} policies, {len(traces)} traces")
    if not pictures:
        show(NO_PLOTS)
    return 1 if failed else 0


def gallery(only: list[str] | tuple[str, ...] = ()) -> dict[str, Path]:
    """The template and the gallery's folders by name; only: these of them. Raises UsageError."""
    folders = sorted(path.parent for path in KIT.glob("policies/*/policy.py"))
    named = {"template": KIT, **{folder.name: folder for folder in folders}}
    if unknown := [name for name in only if name not in named]:
        raise UsageError("the gallery has no such policy", unknown[0], ", ".join(named), "correct --only")
    return {name: folder for name, folder in named.items() if name in only or not only}


def others(paths: list[Path], taken: dict[str, Path]) -> dict[str, Path]:
    """Policies by folder or file, named after it, or by the whole path where that name is taken.

    A file of another name than policy.py is taken alone, as policy.py. Raises UsageError.
    """
    named: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise UsageError(
                "no policy was found", f"no {path}", "a folder with policy.py, or a file", "correct the path"
            )
        place = path.parent if path.name == "policy.py" else path
        whole = place.resolve()
        short = whole.name if whole.is_dir() else whole.stem
        name = str(whole) if short in taken | named else short
        if place.is_file():
            copy = DRAWN / "policies" / name.replace("/", "-") / "policy.py"
            copy.parent.mkdir(parents=True, exist_ok=True)
            place = Path(shutil.copyfile(path, copy)).parent
        named[name] = place
    return named


if __name__ == "__main__":
    run_program(main, "leaderboard.py")
