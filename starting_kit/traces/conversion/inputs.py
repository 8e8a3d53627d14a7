"""Input files, given one by one or as folders, in an order that a person can predict."""

from __future__ import annotations

import filecmp
import re
from collections.abc import Sequence
from pathlib import Path

from placement.errors import OrganizerError

MOST_NAMES = 8
# Times such as 1723.5 and counters such as 10 compare as the numbers they are.
NUMBER = re.compile(r"(\d+(?:\.\d+)?)")


def input_files(paths: Sequence[Path], suffixes: Sequence[str]) -> list[Path]:
    """The files, those of a folder in natural order of their names.

    Raises OrganizerError for a missing path, another suffix, a folder without such files, and a file that is there
    twice, itself or in another form.
    """
    files = [file for path in paths for file in (_in_folder(path, suffixes) if path.is_dir() else [path])]
    for file in files:
        if not file.is_file():
            raise _wrong(f"there is no file {file}", "nothing", "a file or a folder of them", "correct the path")
        if file.suffix not in suffixes:
            expected = f"{', '.join(suffixes)} for this --from"
            raise _wrong("the file's form is not read", file.name, expected, "choose another --from, or export again")
    _refuse_twice(files)
    return files


def natural(name: str) -> list[tuple[int, float, str]]:
    """Sorting key: `request_2` before `request_10`."""
    parts = NUMBER.split(name)
    return [(0, float(part), "") if index % 2 else (1, 0.0, part) for index, part in enumerate(parts) if part]


def one_file(paths: Sequence[Path], suffixes: Sequence[str]) -> Path:
    """The only file. Raises OrganizerError as input_files does, and when there are several."""
    files = input_files(paths, suffixes)
    if len(files) > 1:
        names = f"{len(files)} files, {files[0].name} the first"
        raise _wrong("only one file can be converted", names, "one file for this --from", "convert them one by one")
    return files[0]


def _in_folder(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    files = [path for path in folder.iterdir() if path.suffix in suffixes and path.is_file()]
    if not files:
        raise nothing_in(folder, f"files of the form {', '.join(suffixes)}")
    return sorted(files, key=lambda path: (natural(path.stem), path.suffix))


def refuse_copies(files: Sequence[Path]) -> None:
    """Raise OrganizerError for a file that holds what another one does, byte for byte."""
    by_size: dict[int, list[Path]] = {}
    for file in files:
        alike = by_size.setdefault(file.stat().st_size, [])
        if known := next((other for other in alike if filecmp.cmp(other, file, shallow=False)), None):
            names = f"{file.name} holds what {known.name} does"
            raise _wrong("a file is there twice", names, "each file once", "leave one of the two out")
        alike.append(file)


def unread(paths: Sequence[Path]) -> list[str]:
    """A note for each folder of files that has folders in it: these are not read."""
    notes = []
    for path in paths:
        inside = sorted(f"{place.name}/" for place in path.iterdir() if place.is_dir()) if path.is_dir() else []
        if inside:
            more = f" and {len(inside) - MOST_NAMES} more" if len(inside) > MOST_NAMES else ""
            notes.append(f"what lies in {', '.join(inside[:MOST_NAMES])}{more} of {path.resolve().name} is not read")
    return notes


def nothing_in(folder: Path, expected: str) -> OrganizerError:
    """The error for a folder without such files, with the folders in it."""
    inside = sorted(path.name for path in folder.iterdir() if path.is_dir())
    got = f"no such file, but folders: {', '.join(inside[:MOST_NAMES])}" if inside else "no such file"
    next_step = "name one of the folders" if inside else "correct the path"
    return _wrong(f"there is nothing to convert in {folder}", got, expected, next_step)


def _refuse_twice(files: list[Path]) -> None:
    seen: dict[Path, Path] = {}
    for file in files:
        known = seen.setdefault(file.resolve().with_suffix(""), file)
        if known is not file:
            names = f"{known.name} and {file.name}"
            raise _wrong("a dump is there twice", names, "each dump once", "leave one of the two out")


def _wrong(what: str, got: str, expected: str, next_step: str) -> OrganizerError:
    return OrganizerError(what, got, expected, next_step, "input")
