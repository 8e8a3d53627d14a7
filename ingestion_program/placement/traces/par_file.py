"""PAR of a long trace in a file without a name, which goes with the last process that has it open."""

from __future__ import annotations

import tempfile
import weakref
from math import prod

import numpy as np

from ..errors import OrganizerError


class ParFile:
    """float64 [iteration, layer] as placement.par_rows.ParRows, of which nothing is in memory."""

    def __init__(self, iterations: int, layers: int) -> None:
        """Raises OSError where no temporary file can be made."""
        self.shape = iterations, layers
        self.size = prod(self.shape)
        self._row_bytes = 8 * layers
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Read iterations rows.start .. rows.stop - 1 that were written before. Raises OrganizerError."""
        start, stop, _ = rows.indices(len(self))
        values = np.empty((max(stop - start, 0), self.shape[1]))
        self._file.seek(start * self._row_bytes)
        if self._file.readinto(values.reshape(-1).view(np.uint8)) != values.nbytes:
            raise OrganizerError(
                "what was measured cannot be read again",
                got="a temporary file that has become shorter",
                expected="a file that nobody changes during a run",
                next_step="repeat the run with another folder for temporary files (TMPDIR)",
            )
        return values

    def __setitem__(self, rows: slice, values: np.ndarray) -> None:
        """Write iterations rows.start .. . Raises OSError where the disk is full."""
        self._file.seek(rows.start * self._row_bytes)
        self._file.write(np.ascontiguousarray(values, np.float64).data)
