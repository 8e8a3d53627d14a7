"""Published figures of recorded traces: what a profile is fitted to."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from placement.errors import OrganizerError

# The policy's own seconds delayed the published redeployments. In iterations, by number of devices: ep 256 was taken
# as 50 from the policy's 4 seconds, but its transmit amounts fit 45 only.
MEASURED_LATENCY = {32: 7, 64: 12, 128: 25, 256: 45}
COLUMNS = ("model", "dataset", "ep", "policy", "collection_window", "latency_iterations", "mean_par", "transmit_amount")


class Cell(NamedTuple):
    """One published figure. window: DS-EPLB's collection window, 0 for the static deployment."""

    ep: int
    window: int
    latency: int
    mean_par: float
    transmit_amount: int


def read_published(path: Path, model: str, dataset: str) -> list[Cell]:
    """The figures of one trace, those with measured latency where there are any, as a CSV file states them.

    Raises OrganizerError for a file that is not of this form or has none of the trace.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if (row["model"], row["dataset"]) == (model, dataset)]
        cells = [_cell(row) for row in rows if row["policy"] in ("static", "ds_eplb")]
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        got = f"no column {error}" if isinstance(error, KeyError) else str(error)
        raise _wrong("the published figures cannot be read", got, path) from None
    measured = [cell for cell in cells if cell.latency or not cell.window]
    chosen = measured if any(cell.latency for cell in measured) else cells
    if not chosen:
        raise _wrong("the trace has no published figures", f"none of {model}/{dataset}", path)
    return sorted(chosen)


def _wrong(what: str, got: str, path: Path) -> OrganizerError:
    expected = f"a CSV file with the columns {', '.join(COLUMNS)}"
    return OrganizerError(what, got, expected, "correct the file or --published", str(path))


def _cell(row: dict[str, str]) -> Cell:
    ep, window = int(row["ep"]), int(row["collection_window"] or 0)
    latency = 0
    if window and row["latency_iterations"] == "measured":
        if ep not in MEASURED_LATENCY:
            raise ValueError(
                f"ep {ep} has no known measured latency, only {', '.join(map(str, MEASURED_LATENCY))} have"
            )
        latency = MEASURED_LATENCY[ep]
    return Cell(ep, window, latency, float(row["mean_par"]), int(row["transmit_amount"]))
