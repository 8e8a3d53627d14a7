"""Shows the progress of a run."""

from __future__ import annotations

from .case_run import Outcome
from .interruption import PRINTING


class Progress:
    """Prints a line for each finished case, and the text that its policy printed."""

    def __init__(self, cases: int) -> None:
        self._cases, self._done = cases, 0

    def __call__(self, outcome: Outcome) -> None:
        row = outcome.row
        with PRINTING:
            self._done += 1
            line = f"[{self._done}/{self._cases}] {outcome.case.name}: {row['status']}"
            if row["status"] == "ok":
                line += f", mean_par {row['mean_par']:.4f}, transmit {row['transmit_amount']}"
            print(f"{line}, policy {row['policy_seconds']:.2f} s", flush=True)
            for text in outcome.log.splitlines():
                print(f"  | {text}", flush=True)
