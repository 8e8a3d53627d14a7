"""The blocks: the kit's modules in planning/ that a submission imports and that are taken along in its zip."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from placement.submission.folder import MODULE_FILE

from .imports import imported_names
from .places import KIT

BLOCKS = KIT / "planning"


def blocks_of(files: Mapping[str, Path]) -> dict[str, Path]:
    """The blocks that a submission's files import, and the blocks that those import: paths by their names in the zip.

    files: the submission's own, likewise. Empty when the submission brings a `planning` of its own.
    """
    if brings_planning(files):
        return {}
    there = {path.relative_to(KIT).as_posix(): path for path in BLOCKS.rglob("*.py")}
    blocks: dict[str, Path] = {}
    pending = list(files.items())
    while pending:
        for module in imported_names(*pending.pop()):
            parts = module.split(".")
            # Of a module in a package, Python loads the package first.
            for place in ("/".join(parts[: end + 1]) for end in range(len(parts))):
                for name in {f"{place}.py", f"{place}/__init__.py"} & there.keys() - blocks.keys():
                    blocks[name] = there[name]
                    pending.append((name, there[name]))
    return blocks


def brings_planning(files: Mapping[str, Path]) -> bool:
    """Whether a submission has a module or a folder `planning` that is its own; files: paths by name in the zip."""
    own = (name for name, path in files.items() if not path.is_relative_to(BLOCKS))
    return any(_takes_the_name(*name.partition("/")[:2]) for name in own)


def _takes_the_name(top: str, slash: str) -> bool:
    module = not slash and top.partition(".")[0] == BLOCKS.name and MODULE_FILE.fullmatch(top)
    return top == BLOCKS.name or bool(module)
