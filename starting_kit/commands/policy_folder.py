"""A policy's folder, and which of its files make up the submission: pack packs them, other commands run them."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from placement.errors import SubmissionRefused
from placement.submission.files import refused
from placement.submission.folder import find_policy

from .blocks import blocks_of
from .options import UsageError
from .places import KIT

# What lies beside the template and is the kit's, not the policy's.
KIT_FILES = ("tutorial.ipynb", "README.md", "commands", "kit.py", "lab", "planning", "policies", "traces")
# What systems add by themselves, and bytecode, which no policy is loaded from: no policy misses it.
ADDED = ("__pycache__", "__MACOSX", ".DS_Store", "Thumbs.db")
ADDED_SUFFIX = ".pyc"


def policy_folder(policy: str | Path) -> Path:
    """The folder of a policy that was named by it or by its policy.py. Raises UsageError, also for a zip."""
    path = Path(policy)
    if _is_zip(path):
        expected, next_step = "a folder with policy.py, or the file", "name the folder that the zip was made of"
        raise UsageError("the policy is a zip already", str(path), expected, next_step)
    if not path.is_dir() and path.name != "policy.py":
        got = str(path) if path.exists() else f"no folder {path}"
        expected = "a folder with policy.py, the file, or the zip"
        raise UsageError("there is no policy", got, expected, "correct the path")
    return path if path.is_dir() else path.parent


def named_policy(policy: str | Path) -> Path:
    """What was named as a policy: a zip to upload, or its folder, as policy_folder gives it. Raises UsageError."""
    path = Path(policy)
    return path if _is_zip(path) else policy_folder(path)


def submission_files(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """A submission's files by their names in the zip, and the names of what is left out: hidden files, bytecode, zips.

    folder: holds policy.py and was accepted by find_policy. Links count as what they lead to. Of the template's folder
    the kit's own files are no part, and are not named either; the blocks that the files import are (blocks.py). Raises
    SubmissionRefused at a link into a folder that holds it.
    """
    files: dict[str, Path] = {}
    left_out: list[str] = []
    pending = [(folder, "", (folder.resolve(),))]
    while pending:
        place, prefix, outer = pending.pop()
        for path in sorted(place.iterdir()):
            name = prefix + path.name
            if folder.resolve() == KIT and name in KIT_FILES:
                continue
            if _is_added(path) or path.name.startswith(".") or path.suffix.lower() == ".zip":
                left_out.append(name + "/" * path.is_dir())
            elif not path.is_dir():
                files[name] = path
            elif path.resolve() in outer:
                raise refused(
                    "a link leads to a folder that holds it",
                    got=f"{name} -> {os.readlink(path)}",
                    expected="links that a zip can hold as files",
                    next_step="remove the link",
                )
            else:
                pending.append((path, f"{name}/", (*outer, path.resolve())))
    return dict(sorted((files | blocks_of(files)).items())), sorted(left_out)


@contextmanager
def staged(policy: str | Path) -> Iterator[Path]:
    """A folder with what pack would pack and nothing else, so that what is run is what will be uploaded.

    That is the policy's own folder, or a temporary copy where pack would take blocks along or leave out what a policy
    can see, or a folder in it is a link, which a zip holds as files. A folder that would be refused is given as it is:
    the programs say why. Of a zip it is all that is in it, which the platform takes as it is, too. Raises UsageError.
    """
    folder = named_policy(policy)
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(prefix="submission-") as temporary:
            _unpack(folder, temporary)
            yield Path(temporary)
        return
    try:
        holder, _ = find_policy(folder)
        files, left_out = submission_files(holder)
    except SubmissionRefused:
        yield folder
        return
    complete = all(path == holder / name for name, path in files.items())
    differs = folder.resolve() == KIT or any(map(_is_seen, left_out)) or _has_linked_folder(holder, files.values())
    if complete and not differs:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="submission-") as temporary:
        for name, path in files.items():
            target = Path(temporary) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        yield Path(temporary)


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip" and path.is_file()


def _unpack(path: Path, folder: str) -> None:
    try:
        with zipfile.ZipFile(path) as source:
            source.extractall(folder)
    # A password and an unknown compression are a RuntimeError.
    except (zipfile.BadZipFile, RuntimeError, OSError, ValueError) as error:
        expected, next_step = "a zip without a password, as kit.py pack makes", "make the zip with kit.py pack"
        raise UsageError("the zip cannot be read", f"{path}: {error}", expected, next_step) from None


def _has_linked_folder(folder: Path, files: Iterable[Path]) -> bool:
    """Whether a file lies in a link to a folder, somewhere below the folder."""
    inner = {parent for path in files for parent in path.parents if parent != folder and parent.is_relative_to(folder)}
    return any(map(Path.is_symlink, inner))


def _is_seen(left_out: str) -> bool:
    """Whether a policy could see and use a file or folder/ that pack leaves out."""
    hidden_at_top = left_out.startswith(".") and left_out.endswith("/")
    return not hidden_at_top and not _is_added(Path(left_out))


def _is_added(path: Path) -> bool:
    return path.name in ADDED or path.suffix == ADDED_SUFFIX
