"""Pages as the platform shows them: it takes their text alone, so images travel in the text."""

from __future__ import annotations

import base64
import posixpath
import re
from collections.abc import Iterator

DATA = "data:image/"
IMAGE = re.compile(r"!\[([^\]]*)\]\(([\w./-]+\.(svg|png))\)")
KINDS = {"svg": "svg+xml", "png": "png"}


def with_images(files: dict[str, bytes]) -> dict[str, bytes]:
    """The same files, by path, with the images of the pages at the end of each page's text.

    The prose stays readable: it names an image by a label. An image that is not there stays a link, which the check of
    the bundle names.
    """
    return {
        name: _with_images(name, content, files) if name.startswith("pages/") and name.endswith(".md") else content
        for name, content in files.items()
    }


def drawings(page: str) -> Iterator[str]:
    """The SVG drawings in the text of a built page."""
    for match in re.finditer(rf"{DATA}svg\+xml;base64,([A-Za-z0-9+/=]+)", page):
        yield base64.b64decode(match[1]).decode("utf-8", "replace")


def _with_images(name: str, content: bytes, files: dict[str, bytes]) -> bytes:
    places: dict[str, str] = {}

    def labelled(match: re.Match[str]) -> str:
        data = files.get(posixpath.normpath(posixpath.join(posixpath.dirname(name), match[2])))
        if data is None:
            return match[0]
        places[match[2]] = f"{DATA}{KINDS[match[3]]};base64,{base64.b64encode(data).decode('ascii')}"
        return f"![{match[1]}][{match[2]}]"

    try:
        text = IMAGE.sub(labelled, content.decode("utf-8"))
    except UnicodeDecodeError:
        # The check of the bundle names it.
        return content
    if not places:
        return content
    return (text + "".join(f"\n[{label}]: {place}\n" for label, place in places.items())).encode("utf-8")
