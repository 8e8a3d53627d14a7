"""A policy's folder, and which files make up the submission: `pack` packs these files, other commands run them."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from placement.errors import SubmissionRefused
from placement.evaluation.temporary import fresh_folder
from placement.submission.contents import missed, note_of, submission_files
from placement.submission.folder import find_policy
from placement.submission.stage import stage

from .blocks import blocks_of
from .options import UsageError, show
from .places import KIT

# What lies beside the template and is the kit's, not the policy's.
KIT_FILES = (
    "tutorial.ipynb",
    "README.md",
    "adapters",
    "commands",
    "deployments",
    "kit.py",
    "lab",
    "planning",
    "policies",
    "sweeps",
    "viewer",
    "traces",
)


def policy_folder(policy: str | Path) -> Path:
    """The folder of a policy, named as a folder or as its policy.py. Raises UsageError, also for a zip."""
    path = Path(policy)
    if _is_zip(path):
        expected, next_step = "a folder with policy.py, or the file", "name the folder that the zip was made from"
        raise UsageError("the policy is a zip", str(path), expected, next_step)
    if not path.is_dir() and path.name != "policy.py":
        # A path that is right elsewhere is the usual mistake.
        place = "" if path.is_absolute() else f" in {Path.cwd()}"
        got = str(path) if path.exists() else f"no folder {path}{place}"
        expected = "a folder with policy.py, the file, or the zip"
        of_kit = KIT / "policies" / path.name
        next_step = f"name {os.path.relpath(of_kit)}" if (of_kit / "policy.py").is_file() else "correct the path"
        raise UsageError("no policy was found", got, expected, next_step)
    return path if path.is_dir() else path.parent


def named_policy(policy: str | Path) -> Path:
    """The policy that was named: a zip to upload, or a folder as policy_folder gives it. Raises UsageError."""
    path = Path(policy)
    return path if _is_zip(path) else policy_folder(path)


def packed_files(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """The files that pack packs from a policy's folder (paths by name in the zip), and the names that pack leaves out.

    folder: holds policy.py and was accepted by find_policy. Of the template's folder, the kit's own files are neither
    packed nor named. The blocks that the files import are packed (blocks.py). Raises SubmissionRefused as
    submission_files does.
    """
    files, left_out = submission_files(folder, KIT_FILES if folder.resolve() == KIT else ())
    return dict(sorted((files | blocks_of(files)).items())), left_out


@contextmanager
def staged(policy: str | Path) -> Iterator[Path]:
    """A folder that holds exactly the files that pack would pack, so that a run uses the files of the upload.

    This is the policy's folder itself, or a temporary copy: where pack would add blocks, would leave out a file that
    the policy could use, or would pack a linked folder's files. For a zip, the copy holds the zip's files as the
    platform takes them. A folder that would be refused is returned unchanged: the programs state the reason. Raises
    UsageError, and OrganizerError when a copy cannot be written.
    """
    folder = named_policy(policy)
    with ExitStack() as stack:
        if folder.is_dir():
            yield _staged(folder, packed_files, stack)
        else:
            _unpack(folder, unpacked := _temporary(stack))
            yield _staged(unpacked, _files_of_a_zip, stack)


def _staged(folder: Path, files_of: Callable[[Path], tuple[dict[str, Path], list[str]]], stack: ExitStack) -> Path:
    try:
        holder, _ = find_policy(folder)
        files, left_out = files_of(holder)
        there = all(path == holder / name for name, path in files.items())
        if there and folder.resolve() != KIT and not missed(left_out):
            return folder
        # In the same place as there, of which the programs speak.
        stage(files, (copy := _temporary(stack)) / holder.relative_to(folder))
    except SubmissionRefused:
        return folder
    return copy


def _files_of_a_zip(folder: Path) -> tuple[dict[str, Path], list[str]]:
    files, left_out = submission_files(folder)
    # pack left nothing out: somebody else made it, and is to know.
    if note := note_of(left_out):
        show(f"note: {note}")
    return files, left_out


def _temporary(stack: ExitStack) -> Path:
    return stack.enter_context(fresh_folder())


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip" and path.is_file()


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as source:
            source.extractall(folder)
    # A password and an unknown compression are a RuntimeError.
    except (zipfile.BadZipFile, RuntimeError, OSError, ValueError) as error:
        expected, next_step = "a zip without a password, as kit.py pack makes", "make the zip with kit.py pack"
        raise UsageError("the zip cannot be read", f"{path}: {error}", expected, next_step) from None
