"""Which reader a file of requests needs, and the files of a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from placement.errors import OrganizerError

from .dump_files import names_of, read_json, read_numpy
from .file_errors import kind_of
from .inputs import input_files
from .json_lines import objects_in
from .routed_arrays import KEY, KEYS, OF_PROMPT, routed_of
from .routed_lines import routed_in_lines
from .routed_steps import routed_in_steps
from .routed_tokens import RoutedTokens, Stated
from .stacked_requests import FORMS, is_stacked, routed_in_stack
from .stored_array import stored_arrays

# A folder's files are those of the first form that it has: beside requests lie settings and figures.
SUFFIXES = (".npz", ".npy", ".jsonl", ".json")


def request_files(paths: Sequence[Path]) -> list[Path]:
    """The files of requests, in an order that the person can foresee. Raises OrganizerError as input_files does."""
    files: list[Path] = []
    for path in paths:
        present = {file.suffix for file in path.iterdir()} if path.is_dir() else set()
        form = next((suffix for suffix in SUFFIXES if suffix in present), None)
        files += input_files([path], [form] if form else SUFFIXES)
    return input_files(files, SUFFIXES)


def routed_requests(files: Sequence[Path], stated: Stated) -> Iterator[RoutedTokens]:
    """Every request of the files, one after another, read as it is asked for. Raises OrganizerError."""
    lines = [file for file in files if file.suffix == ".jsonl"]
    if lines:
        if len(lines) < len(files):
            got, expected = ", ".join(sorted({file.suffix for file in files})), "files of one form"
            raise OrganizerError("JSON lines lie among other files", got, expected, "read them one by one", "input")
        yield from _answers_in(lines, stated) if _is_answer(_first_object(lines[0])) else routed_in_lines(lines, stated)
        return
    for file in files:
        if file.suffix == ".json":
            yield from _in_json(read_json(file), stated, file)
        elif file.suffix == ".npz" and is_stacked(names := names_of(file)) and KEY not in names:
            yield from routed_in_stack(stored_arrays(file), stated, file.name)
        else:
            arrays = read_numpy(file, stated.allow_pickle, KEYS if file.suffix == ".npz" else None)
            if file.suffix == ".npy":
                arrays = {KEY: arrays[file.stem]}
            elif not {KEY, OF_PROMPT} & set(arrays):
                got, expected = ", ".join(names) or "no array", f"{KEY} of one request; of several {FORMS}"
                next_step = "name another file, or export again"
                raise OrganizerError("the file holds no requests of a known form", got, expected, next_step, file.name)
            elif stated.label:
                raise _no_labels(stated, file)
            yield routed_of(arrays, stated, file.name)


def _first_object(file: Path) -> dict[str, Any]:
    """The object of a file's first line that is not empty; an empty one where that line is no object."""
    try:
        return next((fields for fields, _ in objects_in(file)), {})
    except OrganizerError:
        return {}


def _answers_in(files: Sequence[Path], stated: Stated) -> Iterator[RoutedTokens]:
    """An answer of an engine on each line."""
    for file in files:
        for fields, where in objects_in(file):
            yield routed_of(fields, stated, where)


def _no_labels(stated: Stated, file: Path) -> OrganizerError:
    got = f"one request, and the label {stated.label}"
    return OrganizerError("the file's requests have no labels", got, FORMS, "leave the label out", file.name)


def _in_json(content: Any, stated: Stated, file: Path) -> Iterator[RoutedTokens]:
    """An answer, a list of answers, or the passes of one request."""
    if isinstance(content, dict):
        yield routed_of(content, stated, file.name)
    elif isinstance(content, list) and content and isinstance(content[0], dict) and _is_answer(content[0]):
        for index, answer in enumerate(content):
            yield routed_of(answer, stated, f"{file.name}, answer {index}")
    elif isinstance(content, list):
        # A boolean among numbers is a number once it is in an array.
        if word := next((word for word in (b"true", b"false") if word in file.read_bytes()), None):
            got, next_step = word.decode(), "export the file again"
            raise OrganizerError("the file has a boolean", got, "ids of experts and null", next_step, file.name)
        yield routed_in_steps(content, file.name, file.stem)
    else:
        got, expected = kind_of(content), "an answer of an engine, or a list of passes"
        raise OrganizerError("the file holds no requests", got, expected, "name another file", file.name)


def _is_answer(fields: dict[str, Any]) -> bool:
    return bool({KEY, OF_PROMPT, "meta_info", "choices", "outputs"} & set(fields))
