"""A built bundle as the rules see it: its files, competition.yaml, and what each phase runs."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from bundling.parts import Files, is_hidden
from commands.archive import unpack
from placement.errors import OrganizerError
from placement.traces.yaml_file import parse_yaml

PARTS = ("scoring_program", "ingestion_program", "reference_data")


class Fault(OrganizerError):
    """A rule that a bundle breaks. Rules go from place to place, so the place stands first."""

    def __init__(self, where: str, what: str, got: object, expected: str, next_step: str) -> None:
        super().__init__(what, str(got), expected, next_step, where)


class Phase(NamedTuple):
    """A phase with the files of its only task; empty where the task or a part is missing."""

    entry: dict[str, Any]
    ingestion: Files
    scoring: Files
    reference: Files
    # Names of the zips, by key of the task.
    parts: dict[str, str]

    @property
    def name(self) -> str:
        """The phase as faults name it."""
        return f"phase {self.entry.get('name')!r}"

    @property
    def grid(self) -> dict[str, Any]:
        """Content of the phase's grid.yaml; empty when it is none."""
        return mapping_of(self.ingestion.get("grid.yaml", b""))

    @property
    def hidden(self) -> bool:
        """Whether the phase's traces are secret."""
        return is_hidden(self.grid)


class Bundle:
    """The files of a bundle, and the content of its competition.yaml."""

    def __init__(self, files: Files, competition: dict[str, Any]) -> None:
        self.files, self.competition = files, competition

    def inner(self, name: object) -> Files:
        """Content by name of a zip in the bundle; empty when there is no such zip."""
        data = self.files.get(name) if isinstance(name, str) else None
        if data is None or not zipfile.is_zipfile(io.BytesIO(data)):
            return {}
        return unpacked(data)

    def entries(self, key: str) -> list[dict[str, Any]]:
        """A list of competition.yaml, empty when the key is missing."""
        return self.competition.get(key) or []

    @cached_property
    def phases(self) -> list[Phase]:
        """The phases in the platform's order, which is that of their indexes."""
        tasks = {repr(task.get("index")): task for task in self.entries("tasks")}
        phases = []
        for entry in sorted(self.entries("phases"), key=lambda entry: _order(entry.get("index"))):
            named = entry.get("tasks")
            task = tasks.get(repr(named[0]), {}) if isinstance(named, list) and named else {}
            parts = {key: task[key] for key in PARTS if isinstance(task.get(key), str)}
            files = {key: self.inner(parts.get(key)) for key in PARTS}
            phase = Phase(entry, files["ingestion_program"], files["scoring_program"], files["reference_data"], parts)
            phases.append(phase)
        return phases

    @cached_property
    def kit(self) -> Files:
        """The files of the starting kits that phases name."""
        files: Files = {}
        for entry in self.entries("phases"):
            files |= self.inner(entry.get("starting_kit"))
        return files


class Member(NamedTuple):
    """A file of the bundle or of a zip inside it: the way to it, and its content."""

    way: tuple[str, ...]
    content: bytes

    @property
    def name(self) -> str:
        """The file's path in the innermost zip."""
        return self.way[-1]

    def __str__(self) -> str:
        return "/".join(self.way)


def members(files: Files, way: tuple[str, ...] = ()) -> Iterator[Member]:
    """All files, those of zips (by content: arrays are zips too) after the zip itself."""
    for name, content in files.items():
        yield Member((*way, name), content)
        if content.startswith(b"PK") and zipfile.is_zipfile(io.BytesIO(content)):
            yield from members(unpacked(content), (*way, name))


@lru_cache(maxsize=64)
def unpacked(data: bytes) -> Files:
    """Content by name of a zip, not to be changed: several rules look into the same. Raises zipfile.BadZipFile."""
    return unpack(data)


@lru_cache(maxsize=32)
def mapping_of(data: bytes) -> dict[str, Any]:
    """The mapping that a YAML file holds, not to be changed; empty when it holds none."""
    try:
        content = parse_yaml(data)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def json_of(data: bytes) -> dict[str, Any]:
    """The object that a JSON file holds; empty when it holds none."""
    try:
        content = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def suffix(name: str) -> str:
    """The last suffix of a path in a zip, lower case."""
    return PurePosixPath(name).suffix.lower()


def _order(index: object) -> float:
    return index if isinstance(index, (int, float)) else float("inf")
