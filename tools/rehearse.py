"""Dress rehearsal: takes a built bundle and a submission through both steps as Codabench's compute worker does.

    python tools/rehearse.py                                               the template policy, all phases
    python tools/rehearse.py --submission my.zip --phase final             one phase
    python tools/rehearse.py --traces output/sealed --phase final          with the traces of the worker

Exit code 0: there is a score. 1: the submission is Failed. 2: the bundle or this command is wrong. 3: this machine
cannot run containers.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / name) for name in ("tools", "starting_kit", "ingestion_program", "scoring_program")]

from placement.evaluation.interruption import begin, raise_when_interrupted

if __name__ == "__main__":
    # Before the rest is imported, which takes its time.
    begin("rehearse.py", "rehearse.py: interrupted")

import argparse
import hashlib
import json
import shutil
import subprocess
import zipfile
from typing import NamedTuple

from bundling.parts import SOURCES
from bundling.reader import Bundle, Phase
from bundling.rules_leaderboard import board_columns, written_primary
from bundling.tree import Tree
from commands.places import short
from placement.errors import OrganizerError
from placement.evaluation.printing import run_program
from placement.evaluation.temporary import fresh_folder
from placement.grid import Grid, grid_from_mapping
from rehearsal.board import read_scores, row
from rehearsal.container import Mount
from rehearsal.engines import Engine, choose
from rehearsal.phase import DETAILS
from rehearsal.stage import choose_phases, lay_out_traces, read_bundle, title, unpack_into, zip_submission
from rehearsal.worker import FailedSubmission, Job, Worker

BUNDLE = ROOT / "dist" / "competition.zip"
SCORED, FAILED, WRONG, SKIPPED = 0, 1, 2, 3
DEFAULT_LIMIT = 600
# How long after a phase's limit the platform's queue gives a job up.
QUEUE_PATIENCE = 1200
LONGEST_NAME = 64
PROBE_PATIENCE = 60
# Run inside, to say what a program finds there.
PROBE = """
import json, platform, sys
versions = {"Python": platform.python_version(), "machine": platform.machine()}
for name in ("numpy", "yaml"):
    try:
        versions[name] = __import__(name).__version__
    except ImportError as error:
        versions[name] = f"missing ({error})"
sys.path.insert(0, "/app/program/vendor")
try:
    import Crypto
    from Crypto.Cipher import AES
    versions["pycryptodome"] = f"{'.'.join(map(str, Crypto.version_info))} from {AES.__file__}"
except (ImportError, OSError) as error:
    versions["pycryptodome"] = f"none ({error})"
print(json.dumps(versions))
"""


class Work(NamedTuple):
    """What all phases share: the bundle, the submission's zip, and where things are done."""

    bundle: Bundle
    submission: Path
    folder: Path
    engine: Engine


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options = parse(arguments)
    try:
        # Copies of the programs hold the keys until they are run.
        with fresh_folder() as folder:
            return rehearse(options, folder)
    except (OrganizerError, OSError, RuntimeError, zipfile.BadZipFile) as error:
        print(f"rehearse.py: {error}")
        return WRONG
    except subprocess.CalledProcessError as error:
        print(f"rehearse.py: {error} {error.stderr}")
        return WRONG


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(
        prog="rehearse.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--bundle", type=Path, default=BUNDLE, metavar="FILE", help="the built bundle")
    add(
        "--submission",
        type=Path,
        default=ROOT / "starting_kit" / "policy.py",
        metavar="FILE",
        help="the submission: a zip; or a folder or a policy.py, packed with the blocks of planning that these import "
        "(default: the template policy)",
    )
    add("--phase", metavar="NAME", help="phase: development or final (default: both)")
    add(
        "--traces",
        type=Path,
        default=ROOT / "sample_traces",
        metavar="FOLDER",
        help="folder of the traces (default: the sample traces)",
    )
    add(
        "--output", type=Path, default=ROOT / "output" / "rehearsal", metavar="FOLDER", help="folder for pages and zips"
    )
    add(
        "--python",
        type=Path,
        default=Path(sys.executable),
        help="the Python for the containers, where no image has one",
    )
    add(
        "--own-command",
        choices=("before", "beside"),
        default="before",
        help="when a command in the submission is run: before the ingestion program or at the same time",
    )
    add(
        "--give-up",
        type=float,
        metavar="SECONDS",
        help="kill a container after these seconds (default: as the platform's queue)",
    )
    return parser.parse_args(arguments)


def rehearse(options: argparse.Namespace, folder: Path) -> int:
    """Rehearse the phases and return the worst exit code. Raises OrganizerError and all that `main` reports."""
    bundle = read_bundle(options.bundle)
    phases = choose_phases(bundle, options.phase)
    submission = zip_submission(options.submission, folder)
    image = str(bundle.competition.get("docker_image"))
    (empty := folder / "empty").mkdir()
    print(f"bundle: {short(options.bundle)}, sha256 {hashlib.sha256(options.bundle.read_bytes()).hexdigest()}")
    if options.bundle == BUNDLE and (newer := Tree(ROOT).newer(BUNDLE.stat().st_mtime, *SOURCES)):
        # Somebody may rehearse an older zip on purpose: what is rehearsed is what will be uploaded.
        names = ", ".join(newer[:2]) + ", ..." * (len(newer) > 2)
        print(f"note: files changed after the bundle was built ({names}): `make bundle` builds it again")
    print(f"submission: {short(options.submission)}")
    engine, notes = choose(image, options.python, empty)
    for note in notes:
        print(f"note: {note}")
    if engine is None:
        print("SKIPPED: nothing was rehearsed. Next: use Linux as root, or Docker with the image above.")
        return SKIPPED
    print(f"engine: {engine.description}", flush=True)
    work = Work(bundle, submission, folder, engine)
    return max([rehearse_phase(options, work, phase) for phase in phases])


def rehearse_phase(options: argparse.Namespace, work: Work, phase: Phase) -> int:
    """Take the submission through a phase, print what came of it, and return the exit code."""
    grid = grid_from_mapping(phase.grid)
    print(f"\n=== {title(phase)}: grid {grid.name} ===", flush=True)
    worker = worker_of(options, work, phase, grid)
    kept = options.output / title(phase).lower()
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    jobs: list[Job] = []
    try:
        scores = run_jobs(worker, work, phase, jobs)
    except FailedSubmission as failure:
        scores, reason, code = None, str(failure), FAILED
    except OrganizerError as error:
        scores, reason, code = None, str(error), WRONG
    keep(jobs, kept, hidden=phase.entry.get("hide_output") is True)
    if scores is None:
        if code == FAILED and (kept / "detailed_results.html").is_file():
            print(f"note: the platform links no page for a Failed submission; the page lies at {DETAILS}")
        print(f"status: Failed\nNo score: {reason}", flush=True)
        return code
    print("\n--- leaderboard ---")
    board = work.bundle.entries("leaderboards")[0]
    for line in row(scores, board_columns(work.bundle), board.get("primary_index")):
        print(line)
    primary = written_primary(work.bundle)
    print(f"status: Finished\n{primary}: {scores[primary]!r}", flush=True)
    return SCORED


def worker_of(options: argparse.Namespace, work: Work, phase: Phase, grid: Grid) -> Worker:
    """A worker with a phase's traces. Raises what `lay_out_traces` raises."""
    folder = work.folder / title(phase)
    data = folder / "data"
    for line in lay_out_traces(data / grid.name, grid, phase, options.traces):
        print(f"/app/data/{grid.name}/{line}")
    # The worker's own copies, so that what is run is what is uploaded.
    for name in phase.parts.values():
        (folder / name).write_bytes(work.bundle.files[name])
    program = unpack_into(folder / "probe", folder / phase.parts["ingestion_program"])
    print(f"inside: {look_inside(work.engine, program)}", flush=True)
    shutil.rmtree(program)
    limit = phase.entry.get("execution_time_limit") or DEFAULT_LIMIT
    patience = options.give_up or limit + QUEUE_PATIENCE
    return Worker(work.engine, folder, data, limit, patience, options.own_command == "beside")


def look_inside(engine: Engine, program: Path) -> str:
    """Versions in a container, and whose pycryptodome an ingestion program finds. Raises RuntimeError."""
    probed = engine.run(["python3", "-c", PROBE], [Mount(program, "/app/program")], PROBE_PATIENCE)
    if probed.exit_code:
        raise RuntimeError(f"no Python in the container: {probed.stderr.strip()}")
    return ", ".join(f"{name} {text}" for name, text in json.loads(probed.stdout).items())


def run_jobs(worker: Worker, work: Work, phase: Phase, jobs: list[Job]) -> dict[str, float]:
    """Both jobs, added to `jobs`, and the scores. Raises FailedSubmission and OrganizerError."""
    if len(work.submission.name) > LONGEST_NAME:
        raise FailedSubmission(f"file_name: Ensure this field has no more than {LONGEST_NAME} characters")
    parts = {key: worker.folder / name for key, name in phase.parts.items()}
    jobs.append(worker.predict(work.submission, parts["ingestion_program"]))
    jobs.append(worker.score(jobs[0], parts["scoring_program"], parts["reference_data"]))
    scoring = jobs[1]
    if not scoring.exit_code:
        return read_scores(scoring.output / "scores.json", board_columns(work.bundle))
    if scoring.exit_code == WRONG:
        next_step = "correct what the log above names; --traces gives other traces than the samples"
        if any("another trace_sha256" in text for text in scoring.logs.values()):
            next_step += (
                "; if these are the phase's traces, the reference was made from other traces: make the reference again "
                "with kit.py "
            )
            next_step += "reference, and build the bundle again"
        raise OrganizerError("scoring ended with exit code 2", "no score", "a score", next_step)
    raise FailedSubmission(f"scoring ended with exit code {scoring.exit_code}. Next: read the log above")


def keep(jobs: list[Job], folder: Path, hidden: bool) -> None:
    """Print the logs of the jobs, and put logs, results and page into a folder."""
    for job in jobs:
        for name, text in job.logs.items():
            (folder / f"{name}.txt").write_text(text, encoding="utf-8", errors="backslashreplace")
            if text:
                print(f"\n--- {name}{' (hidden from participants in this phase)' * hidden} ---")
                print(escaped(text.rstrip("\n")))
        print()
        for note in job.notes:
            print(f"note: {note}")
        shutil.copyfile(job.result, folder / job.result.name)
        print(f"result: {short(folder / job.result.name)}")
    # Its scoring output alone: in a prediction's, a page would be the submission's.
    pages = [path for job in jobs[1:] for path in sorted(job.output.glob("*.html")) if not path.is_symlink()]
    page = next((path for path in pages if path.name == "detailed_results.html"), pages[0] if pages else None)
    if page:
        shutil.copyfile(page, folder / "detailed_results.html")
        print(f"page: {short(folder / 'detailed_results.html')}")


def escaped(text: str) -> str:
    """A log without control characters, because a submission may have written the log."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else repr(sign)[1:-1] for sign in text)


if __name__ == "__main__":
    raise_when_interrupted()
    run_program(main, "rehearse.py")
