"""The blocks: modules of planning/ and adapters/ that a submission imports. `pack` puts copies into the zip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from placement.submission.folder import MODULE_FILE

from .imports import imported_names
from .places import KIT

ROOMS = ("planning", "adapters")


def blocks_of(files: Mapping[str, Path]) -> dict[str, Path]:
    """The blocks that a submission's files import, directly or through blocks: paths by name in the zip.

    files: the submission's files, by name in the zip. A room of which the submission has a module itself gives no
    blocks.
    """
    rooms = set(ROOMS) - set(own_rooms(files))
    there = {path.relative_to(KIT).as_posix(): path for room in rooms for path in (KIT / room).rglob("*.py")}
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


def own_rooms(files: Mapping[str, Path]) -> list[str]:
    """The rooms (planning, adapters) of which a submission has a module or folder itself; files: paths by name in the
    zip.
    """
    return [room for room in ROOMS if _brings(room, (name for name in files if files[name] != KIT / name))]


def _brings(room: str, names: Iterable[str]) -> bool:
    return any(_takes_the_name(room, *name.partition("/")[:2]) for name in names)


def _takes_the_name(room: str, top: str, slash: str) -> bool:
    module = not slash and top.partition(".")[0] == room and MODULE_FILE.fullmatch(top)
    return top == room or bool(module)
