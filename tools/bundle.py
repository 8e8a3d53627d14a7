"""Organizers' command for the competition bundle: `python tools/bundle.py COMMAND`.

    python tools/bundle.py keys                            make the secrets, once
    python tools/bundle.py build                           write and check dist/competition.zip
    python tools/bundle.py check dist/competition.zip      check a bundle against what the platform accepts
    python tools/bundle.py draw                            draw the diagrams of the pages again, for another grid

Exit code 0: done. 1: the bundle has faults, and was not written. 2: the command cannot be carried out.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / name) for name in ("tools", "starting_kit", "ingestion_program", "scoring_program")]

from placement.evaluation.interruption import begin, raise_when_interrupted

if __name__ == "__main__":
    # Before the rest is imported, which takes its time.
    begin("bundle.py", "bundle.py: interrupted")

import argparse
import hashlib
from datetime import datetime, timezone

from bundling.check import check, tried, warnings
from bundling.diagram import diagrams
from bundling.parts import bundle_files, read_phases
from bundling.reader import Fault
from bundling.rules_traces import source_traces
from bundling.secrets import make_keys, read_keys
from bundling.tree import Tree
from bundling.wheel import PYCRYPTODOME, Wheel, vendored
from commands.archive import archive, unpack
from commands.places import short
from placement.errors import OrganizerError
from placement.evaluation.printing import run_program
from placement.traces.whole_file import write_whole
from scores.table import aligned

PHASES = Path("tools", "phases.yaml")
WHEELS = Path("build", "wheels")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options = parse(arguments)
    try:
        if options.command == "keys":
            return keys(options.keys)
        if options.command == "check":
            return check_file(options.bundle)
        if options.command == "draw":
            return draw(ROOT)
        return build(ROOT, options.output, options.keys, options.phases)
    except (OrganizerError, OSError) as error:
        print(f"bundle.py {options.command}: {error}", file=sys.stderr)
        if options.command == "build":
            print(nothing_written(options.output), file=sys.stderr)
        return 2


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(
        prog="bundle.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    keys_parser = commands.add_parser("keys", help="make the secret keys; never overwrites keys")
    build_parser = commands.add_parser("build", help="write the zip to upload, and check the zip")
    check_parser = commands.add_parser("check", help="check a zip against what the platform accepts")
    for command in (keys_parser, build_parser):
        command.add_argument("--keys", type=Path, default=ROOT / "keys", help="folder of the keys (default: keys)")
    build_parser.add_argument("--output", type=Path, default=ROOT / "dist" / "competition.zip", metavar="FILE")
    build_parser.add_argument(
        "--phases",
        type=Path,
        default=ROOT / PHASES,
        metavar="FILE",
        help=f"folder of grids and references (default: {PHASES})",
    )
    commands.add_parser("draw", help="draw the pages' diagrams from the kit's grid and traces")
    check_parser.add_argument("bundle", type=Path, metavar="FILE")
    return parser.parse_args(arguments)


def keys(folder: Path) -> int:
    """Make the keys, and say what they are for. Raises OrganizerError when keys exist."""
    make_keys(folder)
    print(f"{folder / 'signing.key'}: signs results; both programs of a phase get this key")
    print(f"{folder / 'trace.key'}: seals hidden traces; only the hidden phase's ingestion program gets this key")
    print(
        "Next: copy the folder to a safe place (the keys are not in git, and lost keys cannot be replaced). Then "
        "seal the"
    )
    print("hidden traces with trace.key, and build the bundle.")
    return 0


def build(root: Path, output: Path, keys_folder: Path, phases: Path, wheel: Wheel = PYCRYPTODOME) -> int:
    """Write the bundle of a tree, unless a check finds a fault. Return the exit code. Raises OrganizerError."""
    tree = Tree(root)
    sources = read_phases(phases, root)
    secrets = read_keys(keys_folder)
    files = bundle_files(tree, sources, secrets, lambda: vendored(wheel, root / WHEELS))
    data = archive(files)
    for name in sorted(tree.left_out):
        print(f"note: {name} is not in git and is left out")
    for name in tree.tracked_arrays():
        print(
            f"warning: git tracks {name}, an array outside of sample_traces and reference_data. Everyone who gets the"
        )
        print(
            f"repository can read this file. If the array is hidden: git rm --cached {name}, and move the file below "
            "output"
        )
    # First what the grid has wrong: the pages would be corrected after it.
    faults = list(source_traces(sources, bytes.fromhex(secrets["trace.key"])))
    if faults := faults or check(data, output.name):
        report(faults, output)
        print(nothing_written(output))
        return 1
    warn(data)
    # It holds the keys: for its owner alone.
    write_whole(output, data, 0o600)
    print(contents(files))
    print(f"{short(output)}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")
    print("The zip holds the keys: keep the zip private.")
    print(f"Next: rehearse {short(output)} as ORGANIZERS.md says, then upload it to Codabench.")
    return 0


def nothing_written(output: Path) -> str:
    """Say what a failed build leaves, so that nobody takes an older bundle for the new one."""
    return "Nothing was written." + f" {short(output)} is an older bundle." * output.exists()


def check_file(path: Path) -> int:
    """Print the faults and warnings of a bundle, and return the exit code. Raises OSError."""
    data = path.read_bytes()
    faults = check(data, path.name)
    if not faults:
        warn(data)
        print("trying the kit: check, and one case of its grid", flush=True)
        faults = tried(data)
    return report(faults, path)


def draw(root: Path) -> int:
    """Write the diagrams of the pages. Raises OrganizerError for a grid or a trace that is wrong."""
    for name, content in diagrams(root).items():
        write_whole(root / name, content)
        print(f"{name}: {len(content)} bytes")
    return 0


def warn(data: bytes) -> None:
    """Print what is probably a mistake in a bundle without faults."""
    for warning in warnings(data, datetime.now(timezone.utc).replace(tzinfo=None)):
        print(f"warning: {warning}")


def report(faults: list[Fault], path: Path) -> int:
    """Print the findings of a check and return the exit code."""
    for fault in faults:
        print(fault)
    if faults:
        print(f"{short(path)}: {len(faults)} fault{'s' * (len(faults) > 1)}")
        return 1
    print(f"{short(path)}: no faults. Next: rehearse the bundle as ORGANIZERS.md says, then upload it to Codabench.")
    return 0


def contents(files: dict[str, bytes]) -> str:
    """A table of the bundle's content, with sizes."""
    counts = {name: len(unpack(data)) if name.endswith(".zip") else 1 for name, data in files.items()}
    return aligned(("part", "files", "bytes"), [(name, counts[name], len(files[name])) for name in sorted(files)])


if __name__ == "__main__":
    raise_when_interrupted()
    run_program(main, "bundle.py")
