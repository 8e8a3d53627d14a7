"""The benchmark's tables in the documents that show them, each between two comments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from placement.errors import OrganizerError
from placement.traces.whole_file import write_whole

BLOCK = re.compile(r"(<!-- begin: ([\w ]+) -->\n).*?(<!-- end: \2 -->)", re.DOTALL)


def publish(documents: list[Path], texts: Mapping[str, str]) -> None:
    """Replace what stands between `<!-- begin: NAME -->` and `<!-- end: NAME -->` by the text of that name.

    Raises OrganizerError, before anything is written, for a name without a text, and for a text without a place.
    """
    before = {path: path.read_text(encoding="utf-8") for path in documents}
    places = {name: path for path, text in before.items() for name in names_in(text)}
    for name in sorted(places.keys() ^ texts.keys()):
        where = places.get(name, ", ".join(map(str, documents)))
        has, lacks = ("a place", "a table") if name in places else ("a table", "a place")
        next_step = "correct the name between the comments, or tools/benchmark.py"
        raise OrganizerError(f"{name} has {has} and not {lacks}", name, f"both of {name}", next_step, str(where))
    for path, text in before.items():
        after = BLOCK.sub(lambda found: f"{found[1]}{texts[found[2]]}\n{found[3]}", text)
        write_whole(path, after.encode("utf-8"))


def names_in(text: str) -> list[str]:
    """The names of a document's places, in its order."""
    return [found[2] for found in BLOCK.finditer(text)]
