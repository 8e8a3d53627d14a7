"""The clock of a run."""

from __future__ import annotations

import time


class Clock:
    """Tells when a run began and how long it has taken; nothing else in the results depends on a clock."""

    def __init__(self) -> None:
        self._unix, self._monotonic = time.time(), time.monotonic()

    def times(self) -> dict[str, float]:
        """The fields of results.json: Unix time at the start, and seconds from then until now."""
        return {
            "started_seconds": round(self._unix, 3),
            "duration_seconds": round(time.monotonic() - self._monotonic, 3),
        }
