"""Files that are complete or absent: a program that ends early leaves no half-written file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def whole_file(path: Path, mode: int = 0o666) -> Iterator[IO[bytes]]:
    """A file to write that takes its name when it is complete. After an error, an older file stays as it was.

    mode: of the new file, less the umask. Makes the folder. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    # A link that lies there would be followed, and an old file keeps its mode.
    partial.unlink(missing_ok=True)
    try:
        with open(partial, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            yield file
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_whole(path: Path, data: bytes, mode: int = 0o666) -> bytes:
    """Write a file completely or not at all, as whole_file does, and return its bytes. Raises OSError."""
    with whole_file(path, mode) as file:
        file.write(data)
    return data
