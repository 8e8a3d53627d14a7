"""Arrays of an .npz that are read some rows at a time, so that a file may be larger than the memory."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..plain_trace import read_header
from .file_errors import pickled, unreadable


class StoredArray:
    """An array in a file. shape, ndim and dtype are those of its header; np.asarray reads all of it."""

    def __init__(self, path: Path, name: str) -> None:
        """Reads the header. Raises OrganizerError, also for an array of objects."""
        self._path, self._name = path, name
        with _readable(path), self._stream() as stream:
            self.shape, self._by_columns, self.dtype = read_header(stream)
        if self.dtype.hasobject:
            raise pickled(path, may_be_allowed=False)
        self.ndim = len(self.shape)

    def rows(self, counts: Iterable[int]) -> Iterator[np.ndarray]:
        """So many rows of the first axis, and so on, read as they are asked for; together all of the array.

        Raises OrganizerError where the file is damaged. Only the rare array in Fortran order is read whole.
        """
        if self._by_columns:
            whole, first = np.asarray(self), 0
            for count in counts:
                yield whole[first : first + count]
                first += count
            return
        row = int(np.prod(self.shape[1:], dtype=np.int64))
        with self._stream() as stream:
            with _readable(self._path):
                read_header(stream)
            for count in counts:
                with _readable(self._path):
                    values = np.frombuffer(stream.read(int(count) * row * self.dtype.itemsize), self.dtype)
                    values = values.reshape(int(count), *self.shape[1:])
                yield values
            # zipfile compares its checksum at the member's end.
            with _readable(self._path):
                if stream.read(1):
                    raise ValueError("more data than the array's shape describes")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        with _readable(self._path), np.load(self._path, allow_pickle=False) as archive:
            return archive[self._name].astype(dtype or self.dtype, copy=False)

    @contextmanager
    def _stream(self) -> Iterator[IO[bytes]]:
        with zipfile.ZipFile(self._path) as archive, archive.open(f"{self._name}.npy") as stream:
            yield stream


def stored_arrays(path: Path) -> dict[str, StoredArray]:
    """The arrays of an .npz by their names. Raises OrganizerError."""
    with _readable(path), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    return {name: StoredArray(path, name) for name in names}


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Errors of numpy and zipfile, which raise nearly anything on a damaged file, as those of the file."""
    try:
        yield
    except Exception as error:
        raise unreadable(path, error) from error
