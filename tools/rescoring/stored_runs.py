"""Finished runs as they were kept: found in folders and zips, read, and held against their own hashes."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from placement.errors import OrganizerError
from placement.evaluation.result_files import FILES
from scores.authenticity import LARGEST_COMPANION, LARGEST_RESULTS, check_companions, check_signature
from scores.comparison import read_results
from scores.problems import FileError
from scores.regular_file import TooLarge, read_regular

RESULTS = "results.json"
CURVES = ("par", "transmit", "layer_par")


@dataclass(frozen=True)
class StoredRun:
    """A run's name, its folder, and the content of its results.json; `problem` says why there is nothing to re-score,
    `altered` that a file beside the results is not the one that they name."""

    name: str
    folder: Path
    results: dict[str, Any]
    problem: str = ""
    altered: str = ""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of the run's cases; none for a run without cases."""
        return self.results.get("cases", [])


def read_runs(paths: Sequence[Path], unpacked: Path, keys: Path | None) -> list[StoredRun]:
    """Every run below the paths, in order of name; zips are unpacked below `unpacked`.

    keys: folder of signing.key, with which signatures are checked; None: they are not. Raises OrganizerError where
    there is no run.
    """
    places: dict[str, Path] = {}
    for path in paths:
        for place in _places(path):
            below = place if place == path else place.relative_to(path)
            stem = below.with_suffix("") if place.is_file() else below
            name = stem.name if place == path else stem.as_posix()
            places[name if name not in places else str(place)] = place
    if not places:
        raise OrganizerError(
            "no run was found",
            f"no {RESULTS} and no zip in {', '.join(map(str, paths))}",
            "folders that hold results.json, or prediction results as Codabench has them, zipped",
            "correct the folders",
        )
    return [_read(name, place, unpacked / str(n), keys) for n, (name, place) in enumerate(sorted(places.items()))]


def stored_curves(folder: Path, key: str) -> dict[str, np.ndarray]:
    """A case's curves from series.npz; none where the file has none, or cannot be read: they only tell a place."""
    try:
        with np.load(folder / "series.npz", allow_pickle=False) as archive:
            return {name: archive[f"{key}/{name}"] for name in CURVES}
    # numpy and zipfile raise nearly anything on a damaged file.
    except Exception:
        return {}


def _places(path: Path) -> Iterator[Path]:
    """Folders with results.json, and zips."""
    if path.is_file() and path.suffix == ".zip":
        yield path
    elif path.is_dir():
        yield from (found.parent for found in path.rglob(RESULTS))
        yield from path.rglob("*.zip")


def _read(name: str, place: Path, unpacked: Path, keys: Path | None) -> StoredRun:
    folder, results, altered = place, {}, ""
    try:
        if place.is_file():
            _unpack(place, folder := unpacked)
        data = check_signature(folder, keys) if keys else read_regular(folder / RESULTS, LARGEST_RESULTS)
        results = read_results(data)
        if results["status"] != "scored":
            return StoredRun(name, folder, {}, f"the run has no score: {results['status']}")
        try:
            check_companions(folder, results)
        except FileError as error:
            # Where the log differs from the results is what is asked for.
            altered = f"{error.fields['where']} {error.fields['what']}"
    except FileError as error:
        return StoredRun(name, folder, {}, str(error))
    # zipfile raises nearly anything on a damaged file, and one run must not keep the others from their scores.
    except Exception as error:
        return StoredRun(name, folder, {}, f"the run cannot be read: {type(error).__name__}: {error}")
    return StoredRun(name, folder, results, "", altered)


def _unpack(path: Path, folder: Path) -> None:
    """A run's files from a zip. Raises OSError, BadZipFile, KeyError without results.json, and TooLarge."""
    folder.mkdir(parents=True)
    with zipfile.ZipFile(path) as archive:
        there = archive.namelist()
        for name in [RESULTS, *(name for name in FILES if name != RESULTS and name in there)]:
            with archive.open(name) as member:
                data = member.read(LARGEST_COMPANION + 1)
            if len(data) > LARGEST_COMPANION:
                raise TooLarge(f"{name} in {path} has more than {LARGEST_COMPANION} bytes")
            (folder / name).write_bytes(data)
