"""A submission's folder: where its policy.py is, and what makes it refused before anything runs."""

from __future__ import annotations

import difflib
from pathlib import Path

from .errors import SubmissionRefused
from .protocol import printable

# The simulator is imported before the policy, so a policy's own module of this name would never be found.
RESERVED = "placement"
# With one of these the platform would run the submission's own command beside the ingestion program.
COMMAND_FILES = ("metadata", "metadata.yaml")


def find_policy(submission: Path) -> tuple[Path, str]:
    """The folder that holds policy.py, and a note when it is an outer folder of the zip.

    Raises SubmissionRefused when there is none, when the folder brings a module with the simulator's name, and
    when the submission brings a command for the platform to run.
    """
    for name in COMMAND_FILES:
        if (submission / name).exists():
            raise SubmissionRefused(
                "a submission may not bring a command of its own",
                got=name,
                expected="a policy.py that the ingestion program calls",
                next_step=f"remove {name} from the zip",
                where="submission",
            )
    folder, note = submission, ""
    if not (submission / "policy.py").is_file():
        found = [path.parent for path in sorted(submission.glob("*/policy.py")) if path.parent.name != "__MACOSX"]
        if len(found) != 1:
            raise _no_policy(submission, found)
        folder = found[0]
        note = f"policy.py was found in the folder {_shown(folder.name)}/; put it at the top of the zip next time"
    for path in (folder / f"{RESERVED}.py", folder / RESERVED / "__init__.py"):
        if path.is_file():
            raise SubmissionRefused(
                f"the name {RESERVED} is the simulator's own",
                got=str(path.relative_to(folder)),
                expected="no module of this name beside policy.py",
                next_step="rename the module",
                where="submission",
            )
    return folder, note


def _no_policy(submission: Path, found: list[Path]) -> SubmissionRefused:
    names = (
        sorted(_shown(path.name) + "/" * path.is_dir() for path in submission.iterdir()) if submission.is_dir() else []
    )
    if not submission.is_dir():
        got, next_step = f"no folder {submission}", "name the folder that holds policy.py"
    elif found:
        got, next_step = ", ".join(f"{_shown(path.name)}/policy.py" for path in found), "keep one of them"
    else:
        got = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "") or "nothing"
        modules = [name for name in names if name.lower().endswith(".py")]
        close = difflib.get_close_matches("policy.py", modules, 1, 0.6) or modules[: len(modules) == 1]
        next_step = f"rename {close[0]} to policy.py" if close else "put policy.py at the top of the zip"
    return SubmissionRefused(
        "the submission has no policy.py" if not found else "the submission has several policy.py",
        got=got,
        expected="policy.py at the top of the submission",
        next_step=next_step,
        where="submission",
    )


def _shown(name: str) -> str:
    """A file's name on one line, without control characters."""
    return " ".join(printable(name).split())
