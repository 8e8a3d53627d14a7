"""Long traces in a form that cannot be read at any place: copied once, as int32, to a file without a name."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from ..errors import OrganizerError
from ..trace import BLOCK, check_array, check_values
from .plain_file import PlainFile


class ArrayHeader(NamedTuple):
    """What a file says of its array; by_columns: in Fortran order."""

    shape: tuple[int, ...]
    by_columns: bool
    dtype: np.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)


def archive_header(path: Path) -> ArrayHeader:
    """The header of a .npz file's only array. Raises ValueError, and what zipfile raises."""
    with zipfile.ZipFile(path) as archive, _member(archive) as stream:
        return _header(stream)


def spooled_archive(path: Path, name: str) -> PlainFile:
    """The values of a .npz file's only array. In Fortran order alone it is read whole before.

    Raises OrganizerError for values that no trace has and for a full disk, and what zipfile raises for a damaged file.
    """
    header = archive_header(path)
    check_array(header, name)
    if header.by_columns:
        with np.load(path, allow_pickle=False) as archive:
            return spooled_array(archive[archive.files[0]], name)
    with zipfile.ZipFile(path) as archive, _member(archive) as stream:
        return _spooled(_blocks(stream, _header(stream)), header.shape, name)


def spooled_array(stored: np.ndarray, name: str) -> PlainFile:
    """The values of an array of any integers and order, in memory or mapped. Raises OrganizerError as above."""
    check_array(stored, name)
    return _spooled((stored[first : first + BLOCK] for first in range(0, len(stored), BLOCK)), stored.shape, name)


def _spooled(blocks: Iterable[np.ndarray], shape: tuple[int, ...], name: str) -> PlainFile:
    first = 0
    with tempfile.NamedTemporaryFile() as file:
        for block in blocks:
            check_values(block, first, name)
            first += len(block)
            try:
                file.write(np.ascontiguousarray(block, "<i4").data)
                file.flush()
            except OSError as error:
                raise OrganizerError(
                    "the trace cannot be unpacked",
                    got=f"{type(error).__name__}: {error}",
                    expected=f"{4 * prod(shape)} bytes of room for temporary files in {Path(file.name).parent}",
                    next_step="store it as an int32 .npy file, which needs none, or name another folder by TMPDIR",
                    where=name,
                ) from None
        return PlainFile(Path(file.name), 0, shape, name)


def _member(archive: zipfile.ZipFile) -> IO[bytes]:
    members = archive.namelist()
    if len(members) != 1:
        raise ValueError(f"{len(members)} arrays in the file")
    return archive.open(members[0])


def _header(stream: IO[bytes]) -> ArrayHeader:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return ArrayHeader(*read(stream))


def _blocks(stream: IO[bytes], header: ArrayHeader) -> Iterator[np.ndarray]:
    iterations, *sizes = header.shape
    for first in range(0, iterations, BLOCK):
        count = min(BLOCK, iterations - first)
        data = stream.read(count * prod(sizes) * header.dtype.itemsize)
        yield np.frombuffer(data, header.dtype).reshape(count, *sizes)
    # zipfile compares its checksum at the member's end.
    if stream.read(1):
        raise ValueError("more data than the array's shape describes")
