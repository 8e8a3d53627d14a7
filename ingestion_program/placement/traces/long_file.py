"""Files of traces that are too large for memory: how large a file's trace is, and its values, read at any place."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np

from ..trace import Values
from .plain_file import PlainFile
from .sealed import SealedFile, read_sealed_header
from .spooled import archive_header, spooled_archive, spooled_array

# A trace of more, as int32, is replayed chunk by chunk: 18,000 iterations of DS-R1, three times the official grid's.
WHOLE_BYTES = 2**30


def int32_bytes(path: Path) -> int:
    """How much a trace takes in memory, as its file's header says; 0 where that cannot be read."""
    try:
        if path.suffix == ".sealed":
            with open(path, "rb") as file:
                return 4 * prod(read_sealed_header(file).shape)
        if path.suffix == ".npz":
            return 4 * prod(archive_header(path).shape)
        return 4 * np.load(path, mmap_mode="r", allow_pickle=False).size
    # numpy and zipfile raise nearly anything on a damaged file; whoever opens it says what is wrong.
    except Exception:
        return 0


def long_values(path: Path, key: bytes | None, trace: str) -> Values:
    """The values of a trace, of which memory holds a piece; trace: `<model>/<dataset>`; key: for a sealed one.

    Raises OrganizerError, and what numpy and zipfile raise for a damaged file.
    """
    name = f"trace {trace}"
    if path.suffix == ".sealed" and key:
        return SealedFile(path, key, trace)
    if path.suffix == ".npz":
        return spooled_archive(path, name)
    stored = np.load(path, mmap_mode="r", allow_pickle=False)
    if stored.dtype == np.dtype("<i4") and stored.flags.c_contiguous:
        return PlainFile(path, stored.offset, stored.shape, name)
    return spooled_array(stored, name)
