"""`pack`: make the zip to upload, and check the zip as the platform will."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

from placement.errors import Problem
from placement.evaluation.temporary import fresh_folder, temporary_folder
from placement.submission.folder import find_policy
from placement.submission.receipt import policy_sha256
from placement.traces.whole_file import write_whole

from . import options as shared
from .archive import archive, unpack
from .blocks import own_rooms
from .check import check
from .named_paths import check_output_file
from .places import short
from .policy_folder import packed_files, policy_folder

EXAMPLES = """
pack  the template, into submission.zip
pack my_policy  my_policy/policy.py and all files beside it
pack my_policy --output tries/second.zip  into a zip of another name
"""
OUTPUT = Path("submission.zip")
LONGEST_NAME = 64


def add_pack(commands: Any) -> None:
    """Declare the command `pack`."""
    parser = shared.add_command(
        commands, "pack", "make the zip to upload, and check the zip as the platform will", EXAMPLES
    )
    shared.add_policy(parser)
    shared.add_grid(parser)
    parser.add_argument(
        "--output",
        type=Path,
        default=OUTPUT,
        metavar="ZIP",
        help="the zip to write; its name ends in .zip (default: submission.zip)",
    )
    parser.set_defaults(run=pack_command)


def pack_command(options: argparse.Namespace) -> int:
    """Print the zip's content and, as the last line, the next step; return the exit code."""
    policy_folder(options.policy)
    if options.output.suffix != ".zip":
        raise shared.UsageError(
            "--output does not end in .zip", str(options.output), "a name ending in .zip", "correct --output"
        )
    _check_file(options.output)
    # Nothing of an earlier call may be taken for this one's.
    options.output.unlink(missing_ok=True)
    try:
        files, left_out = contents(options.policy)
        data = archive({name: path.read_bytes() for name, path in files.items()})
        with temporary_folder(), fresh_folder() as unpacked:
            _unpack(data, unpacked)
            # As the platform meets it: a module that was left out is missed here.
            doubts = check(unpacked, options.grid)
            digits = policy_sha256(find_policy(unpacked)[0])
    except shared.UsageError:
        raise
    except Problem as error:
        print(f"not packed: {error}")
        return 1
    write_whole(options.output, data)
    width = max(map(len, files))
    for name, path in files.items():
        print(f"  {name:{width}}  {path.stat().st_size:>9} bytes")
    for room in own_rooms(files):
        print(f"{room} is the policy's own folder, so the kit's {room} is not packed")
    if left_out:
        print(f"left out: {', '.join(left_out)}")
    hashed = hashlib.sha256(data).hexdigest()[:12]
    count = "one file" if len(files) == 1 else f"{len(files)} files"
    print(f"{short(options.output)}: {count}, {len(data)} bytes, sha256 {hashed}, policy {digits}")
    upload = f"Next: upload {short(options.output)} on the competition's page, tab My Submissions"
    print(doubts.line() or upload)
    return 0


def contents(policy: str | Path) -> tuple[dict[str, Path], list[str]]:
    """The files that pack packs (paths by name in the zip), and the names that it leaves out.

    Raises SubmissionRefused for a submission that the platform would refuse, and UsageError.
    """
    return packed_files(find_policy(policy_folder(policy))[0])


def pack(policy: str | Path, output: str | Path = OUTPUT) -> Path:
    """Write the zip of a policy and return the zip's path. The files are checked; the policy is not run.

    Raises SubmissionRefused for a submission that the platform would refuse, and UsageError.
    """
    output = Path(output)
    _check_file(output)
    data = archive({name: path.read_bytes() for name, path in contents(policy)[0].items()})
    with fresh_folder() as unpacked:
        _unpack(data, unpacked)
        find_policy(unpacked)
    write_whole(output, data)
    return output


def _check_file(output: Path) -> None:
    check_output_file("--output", output)
    if len(output.name) > LONGEST_NAME:
        got, expected = f"{len(output.name)} characters", f"at most {LONGEST_NAME} characters, Codabench's limit"
        raise shared.UsageError("the zip's name is too long", got, expected, "name another --output")


def _unpack(data: bytes, folder: Path) -> None:
    for name, content in unpack(data).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
