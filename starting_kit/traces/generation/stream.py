"""A trace that is drawn while it is replayed and stored nowhere; what was passed is drawn again for who asks for it."""

from __future__ import annotations

import numpy as np

from placement.errors import OrganizerError

from .generator import Drawing
from .shares import STEP

# What marks may take together: 280 places of a trace of DS-R1 from which it can be drawn again.
MARK_BYTES = 2**25


class Stream:
    """The values of a drawing as placement.trace.Values, but for `pieces`: they are not looked at before a replay."""

    def __init__(self, drawing: Drawing, iterations: int, layers: int, experts: int) -> None:
        """drawing: at its first block, and nobody else's; iterations, layers, experts: as it was made with."""
        self.shape = iterations, layers, experts
        self.ndim, self.dtype = 3, np.dtype(np.int32)
        self._drawing = drawing
        self._marks = [drawing.mark()]
        blocks, mark_bytes = -(-iterations // STEP), self._marks[0][1][1].nbytes
        self._apart = max(1, -(-blocks // max(MARK_BYTES // mark_bytes, 1)))
        self._last: tuple[int, np.ndarray] = -1, np.empty((0, layers, experts), np.int32)

    def read(self, start: int, out: np.ndarray) -> np.ndarray:
        """Draw iterations start .. start + len(out) - 1 (from 0) into `out`, and return it.

        Raises OrganizerError for parameters that leave the range of the numbers.
        """
        done = 0
        while done < len(out):
            block, first = divmod(start + done, STEP)
            part = self._block(block)[first : first + len(out) - done]
            out[done : done + len(part)] = part
            done += len(part)
        return out

    def _block(self, number: int) -> np.ndarray:
        drawing = self._drawing
        if number == self._last[0]:
            return self._last[1]
        nearest = max((mark for mark in self._marks if mark[0] <= number), key=lambda mark: mark[0])
        if not nearest[0] <= drawing.block <= number:
            self._note()
            drawing.go_to(nearest)
        while drawing.block <= number:
            if drawing.block % self._apart == 0:
                self._note()
            try:
                self._last = drawing.block, drawing.draw()
            except ValueError as error:
                what, expected = "the trace cannot be generated", "parameters that give the counts of a trace"
                raise OrganizerError(what, str(error), expected, "correct the profile") from None
        return self._last[1]

    def _note(self) -> None:
        """Keep where the drawing stands, when nothing further was reached before: whoever goes back may go on there."""
        if self._drawing.block > self._marks[-1][0]:
            if self._marks[-1][0] % self._apart:
                # It was only the furthest.
                self._marks.pop()
            self._marks.append(self._drawing.mark())
