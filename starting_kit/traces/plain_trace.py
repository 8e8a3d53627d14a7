"""Reads a plain trace file in blocks, so that sealing needs no more memory than a block."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from placement.trace import check_array
from placement.traces.files import unreadable

NPY_START = b"\x93NUMPY"
ZIP_STARTS = (b"PK\3\4", b"PK\5\6")


class PlainTrace:
    """A .npy or .npz file of one trace; its content decides which.

    form: `npy` or `npz`; shape: iterations, layers, experts; dtype: of the values as stored.
    """

    def __init__(self, path: Path, name: str) -> None:
        """name: for messages. Reads the array's header. Raises OrganizerError unless it is that of a trace."""
        self.path, self.name = path, name
        try:
            with open(path, "rb") as file:
                start = file.read(len(NPY_START))
            self.form = "npz" if start.startswith(ZIP_STARTS) else "npy"
            if self.form == "npy" and start != NPY_START:
                # numpy's own message would show what the file begins with, and it may be a key.
                raise ValueError("neither a .npy nor a .npz file")
            with self._stream() as stream:
                self.shape, self._by_columns, self.dtype = read_header(stream)
        # numpy and zipfile raise nearly anything on a damaged file.
        except Exception as error:
            raise unreadable(path, error, name) from error
        self.ndim = len(self.shape)
        check_array(self, name)

    def blocks(self, iterations: int) -> Iterator[np.ndarray]:
        """The values as stored, [iteration, layer, expert], some iterations at a time; the last block may be shorter.

        Raises OrganizerError when the file is damaged. Only the rare .npz in Fortran order is read whole.
        """
        try:
            if self.form == "npz" and not self._by_columns:
                yield from self._unpacked(iterations)
                return
            stored = np.load(self.path, mmap_mode="r", allow_pickle=False)
            if self.form == "npz":
                with stored as archive:
                    stored = archive[archive.files[0]]
            for first in range(0, self.shape[0], iterations):
                yield stored[first : first + iterations]
        except Exception as error:
            raise unreadable(self.path, error, self.name) from error

    def _unpacked(self, iterations: int) -> Iterator[np.ndarray]:
        with self._stream() as stream:
            read_header(stream)
            _, layers, experts = self.shape
            for first in range(0, self.shape[0], iterations):
                count = min(iterations, self.shape[0] - first)
                data = stream.read(count * layers * experts * self.dtype.itemsize)
                yield np.frombuffer(data, self.dtype).reshape(count, layers, experts)
            # zipfile compares its checksum at the member's end.
            if stream.read(1):
                raise ValueError("more data than the array's shape describes")

    @contextmanager
    def _stream(self) -> Iterator[IO[bytes]]:
        """The bytes of the .npy file, or of the .npz file's only member."""
        if self.form == "npy":
            with open(self.path, "rb") as file:
                yield file
            return
        with zipfile.ZipFile(self.path) as archive:
            members = archive.namelist()
            if len(members) != 1:
                raise ValueError(f"{len(members)} arrays in the file")
            with archive.open(members[0]) as stream:
                yield stream


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran order, and dtype of an .npy file's stream, which is then at the values."""
    if np.lib.format.read_magic(stream) == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    return np.lib.format.read_array_header_2_0(stream)
