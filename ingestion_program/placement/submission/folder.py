"""A submission's folder: finds policy.py, and refuses submissions that must not run."""

from __future__ import annotations

import difflib
import os
import re
import stat
import sys
from pathlib import Path

from ..errors import SubmissionRefused
from .files import check_files, entries, refused, shown

# From one of these the platform would run the submission's own command beside the ingestion program.
COMMAND_FILES = ("metadata", "metadata.yaml")
# As far as one is looked at for a command.
LARGEST_LOOKED_AT = 2**20
# The policy's folder comes first on the path, so a module of such a name would take the place of another.
TAKEN = {
    **dict.fromkeys(sys.stdlib_module_names | {"sitecustomize", "usercustomize"}, "Python's own"),
    **dict.fromkeys(("numpy", "yaml"), "a library's"),
    "placement": "the simulator's own",
}
# What any Python would import, whichever one runs this.
MODULE_FILE = re.compile(r"[^.]+\.(pyc?|([^.]+\.)?(so|pyd))")


def find_policy(submission: Path) -> tuple[Path, str]:
    """The folder that holds policy.py, and a note when it is not the top folder of the zip.

    Raises SubmissionRefused: without policy.py, for a module beside it whose name is taken, for a file from which the
    platform reads commands, and for files that check_files refuses.
    """
    if not os.path.isdir(submission):
        raise _no_policy(submission, [])
    _check_commands(submission, submission)
    check_files(submission)
    folder, note = submission, ""
    if not os.path.isfile(submission / "policy.py"):
        folders = [path for path in sorted(submission.iterdir()) if path.name != "__MACOSX"]
        policies = [path for path in folders if os.path.isfile(path / "policy.py")]
        if len(policies) != 1:
            raise _no_policy(submission, policies)
        folder = policies[0]
        note = f"policy.py was found in the folder {shown(folder.name)}/; put it at the top of the zip next time"
        _check_commands(folder, submission)
    _check_modules(folder)
    return folder, note


def _check_commands(folder: Path, submission: Path) -> None:
    for path, status in entries(folder, submission):
        if os.path.basename(path).lower() not in COMMAND_FILES:
            continue
        name = shown(os.path.relpath(path, submission))
        kind = "folder" if stat.S_ISDIR(status.st_mode) else "file"
        if kind == "folder" or (stat.S_ISREG(status.st_mode) and not _has_command(path)):
            # A policy's data, for all that can be told; the platform looks into it all the same.
            raise refused(
                f"the name {shown(os.path.basename(path))} is reserved for Codabench",
                got=f"{name}, a {kind} without a command",
                expected="no such name at the top of the zip, where Codabench looks for a command to run",
                next_step=f"rename the {kind} in the zip and in the code, or put it into a folder beside policy.py",
            )
        raise refused(
            "a submission must not contain a command",
            got=name,
            expected="a policy.py that the ingestion program calls",
            next_step=f"remove {name} from the zip",
        )


def _has_command(path: str) -> bool:
    """Whether the word stands in a file, at least in the part that is looked at, or cannot be ruled out."""
    try:
        # Without waiting: what was a file a moment ago may be a pipe now.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            head = file.read(LARGEST_LOOKED_AT + 1)
    except OSError:
        return True
    return b"command" in head or len(head) > LARGEST_LOOKED_AT


def _check_modules(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        name = path.name.partition(".")[0]
        if name not in TAKEN:
            continue
        if not path.is_dir():
            files = [path.name]
        else:
            # A folder without modules is data, whatever its name.
            files = [f"{name}/{file}" for file in sorted(os.listdir(path))] if path.name == name else []
        modules = [file for file in files if MODULE_FILE.fullmatch(os.path.basename(file))]
        if modules:
            raise refused(
                f"the name {name} is {TAKEN[name]}",
                got=shown(modules[0]),
                expected="no module of this name beside policy.py",
                next_step="rename the module",
            )


def _no_policy(submission: Path, policies: list[Path]) -> SubmissionRefused:
    if not os.path.isdir(submission):
        got, next_step = f"no folder {shown(str(submission))}", "name the folder that holds policy.py"
    elif policies:
        got, next_step = ", ".join(f"{shown(path.name)}/policy.py" for path in policies), "keep one of them"
    elif len(deeper := _deeper(submission)) == 1:
        (place,) = map(shown, deeper)
        got, next_step = f"{place}/policy.py", f"name the folder {place}, or put its files at the top of the zip"
    else:
        names = sorted(shown(path.name) + "/" * path.is_dir() for path in submission.iterdir())
        got = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "") or "nothing"
        next_step = _step_to_a_policy(names)
    return refused(
        "the submission has no policy.py" if not policies else "the submission has several policy.py",
        got=got,
        expected="policy.py at the top of the submission",
        next_step=next_step,
    )


def _deeper(submission: Path) -> list[str]:
    """The folders of a submission that hold policy.py, as paths in the submission."""
    found = []
    for folder, inner, files in os.walk(submission):
        # A hidden folder may be an environment, whose size check_files does not look at.
        inner[:] = sorted(name for name in inner if not name.startswith(".") and name != "__MACOSX")
        if "policy.py" in files:
            found.append(os.path.relpath(folder, submission))
    return found


def _step_to_a_policy(names: list[str]) -> str:
    """The next step for a submission without policy.py at its top."""
    modules = [name for name in names if name.lower().endswith((".py", ".py.txt"))]
    close = difflib.get_close_matches("policy.py", modules, 1, 0.6) or modules[: len(modules) == 1]
    if close:
        return f"rename {close[0]} to policy.py"
    if notebooks := [name for name in names if name.lower().endswith(".ipynb")]:
        return f"save the code of {notebooks[0]} as policy.py"
    if archives := [name for name in names if name.lower().endswith(".zip")]:
        return f"unzip {archives[0]}, and put policy.py at the top"
    return "put policy.py at the top of the zip"
