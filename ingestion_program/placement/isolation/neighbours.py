"""What the policies of one trace's cases share: the copy of a window, and a bound on memory."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..trace import Hotness
from .handover import opened_again, share_window
from .template import Child, Template
from .usage import resident_memory


class Neighbours:
    """The policies of one trace, of which one runs at a time; they join it and leave it.

    trace: what all of them are shown, each window at the same iteration; may be set once the policies have joined, and
    before one of them starts.
    """

    trace: Hotness

    def __init__(self, trace: Hotness | None = None, template: Template | None = None) -> None:
        """template: what the processes are forked from, by default one that goes with the last policy."""
        if trace is not None:
            self.trace = trace
        self._policies = 0
        self._template, self._shared = template or Template(), template is not None
        self._bytes: dict[int, int] = {}
        self._window: tuple[int, int] | None = None
        self._descriptor = -1

    def join(self) -> None:
        """Count a policy from now on; the template of its process begins to start. Raises OSError."""
        self._template.begin()
        self._policies += 1

    def fork(self, descriptors: Sequence[int], seconds: float) -> Child:
        """A process for a policy that has joined; arguments and what it raises are those of Template.fork."""
        return self._template.fork(descriptors, seconds)

    def leave(self, process: int | None) -> None:
        """Count a policy and its process no more; the last one takes the window's copy along."""
        self._policies -= 1
        self._bytes.pop(process, None)
        if not self._policies:
            self._forget()
            if not self._shared:
                self._template.close()

    def window(self, start: int, stop: int) -> int:
        """A descriptor of iterations start .. stop - 1 (from 0); the caller closes it.

        The copy is made once for all that are handed the same iterations one after the other: nobody can write to it.
        """
        if self._window != (start, stop):
            self._forget()
            self._descriptor = share_window(self.trace, start, stop)
            self._window = start, stop
        return opened_again(self._descriptor)

    def excess(self, process: int, most: int) -> tuple[str, str] | None:
        """What all processes hold together, and what they may; None where that is not more than `most` bytes.

        Only the running one is looked at: the others stand still and hold what they held at their last look.
        """
        self._bytes[process] = resident_memory(process)
        held = sum(self._bytes.values())
        if held <= most:
            return None
        return (
            f"{held} bytes of memory in use by this trace's {self._policies} policies",
            f"at most {most} (trace_memory_bytes)",
        )

    def _forget(self) -> None:
        if self._window:
            os.close(self._descriptor)
        self._window = None
