"""Reads dump files (.pt, .npz, .npy, .json) into a mapping of arrays, numbers and lists."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from placement.errors import OrganizerError

from .file_errors import kind_of, pickled, unreadable
from .torch_files import read_torch


def read_dump(path: Path, allow_pickle: bool) -> dict[str, Any]:
    """The content of a dump file by its keys; tensors and nested lists of numbers become arrays.

    allow_pickle: also read .npz with pickled objects, which can run code. Raises OrganizerError.
    """
    if path.suffix == ".json":
        content = read_json(path)
    elif path.suffix == ".pt":
        content = read_torch(path)
    else:
        content = read_numpy(path, allow_pickle)
    if not isinstance(content, dict):
        got = kind_of(content)
        raise OrganizerError(
            "the dump has no keys",
            got,
            "a mapping",
            "see starting_kit/traces/conversion/README.md for the keys",
            path.name,
        )
    return content


def read_numpy(path: Path, allow_pickle: bool, keys: Collection[str] | None = None) -> dict[str, Any]:
    """The arrays of an .npz by their names; the one of an .npy by the file's stem. Raises OrganizerError.

    keys: read only these, of those that are there. A 0-d object array is replaced by the object in it.
    """
    with _readable(path):
        loaded = np.load(path, allow_pickle=allow_pickle)
        if isinstance(loaded, np.ndarray):
            return {path.stem: _opened(loaded)}
        with loaded as archive:
            return {key: _opened(archive[key]) for key in archive.files if keys is None or key in keys}


def names_of(path: Path) -> list[str]:
    """The names of the arrays of an .npz. Raises OrganizerError."""
    with _readable(path), np.load(path, allow_pickle=False) as archive:
        return archive.files


def key_of(dump: dict[str, Any], key: str, where: str) -> Any:
    """A required value. Raises OrganizerError that names the existing keys."""
    if key not in dump:
        got = ", ".join(sorted(map(str, dump))) or "none"
        expected = f"the key {key}"
        raise OrganizerError("a key is missing", got, expected, "choose another --from, or export again", where)
    return dump[key]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn numpy's errors into errors of the file."""
    try:
        yield
    except Exception as error:
        # numpy and zipfile raise nearly anything on a damaged file, and on what is none.
        if "allow_pickle=False" in str(error) and "Object arrays" in str(error):
            raise pickled(path) from error
        raise unreadable(path, error) from error


def _opened(array: np.ndarray) -> Any:
    return array.item() if array.dtype.kind == "O" and array.ndim == 0 else array


def read_json(path: Path) -> Any:
    """What a .json file holds, lists of numbers in its objects as arrays. Raises OrganizerError."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file, object_hook=_with_arrays)
    except (ValueError, RecursionError) as error:
        raise unreadable(path, error) from error


def _with_arrays(mapping: dict[str, Any]) -> dict[str, Any]:
    """Lists of numbers as arrays, as soon as their object is parsed: as lists a whole trace takes ten times more."""
    return {key: _compact(value) for key, value in mapping.items()}


def _compact(value: Any) -> Any:
    leaf = value
    while isinstance(leaf, list) and leaf:
        leaf = leaf[0]
    if not isinstance(value, list) or not isinstance(leaf, (int, float)):
        return value
    try:
        array = np.array(value)
    except (ValueError, OverflowError):
        return value  # refused later, where the place is known
    if array.dtype == np.int64 and array.size and array.min() >= -(2**31) and array.max() < 2**31:
        return array.astype(np.int32)
    return array if array.dtype.kind in "biuf" else value
