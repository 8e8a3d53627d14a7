"""Published figures of recorded traces: what a profile is fitted to."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from placement.errors import OrganizerError

# The policy's own seconds delayed the published redeployments. In iterations, by number of devices: ep 256 was taken
# as 50 from the policy's 4 seconds, but its transmit amounts fit 45 only.
MEASURED_LATENCY = {32: 7, 64: 12, 128: 25, 256: 45}
CELL_COLUMNS = ("model", "dataset", "ep", "policy", "collection_window", "latency_iterations", "mean_par")
CELL_COLUMNS += ("transmit_amount",)
ONCE_COLUMNS = ("model", "dataset", "ep", "collection_window", "mean_par", "transmit_amount")
CURVE_COLUMNS = ("model", "dataset", "ep", "curve", "iteration", "mean_par")
# A curve of DS-EPLB at window 1024, and those of two policies that DS-EPLB stands in for.
CURVE = re.compile(r"static|ds_eplb|kept_from_first_([0-9]+)|replanned_every_([0-9]+)")
CURVE_NAMES = "static, ds_eplb, kept_from_first_N or replanned_every_N"
CURVE_WINDOW = 1024
# From a window's end until the 58 layers of DS-R1, the only model with curves, are redeployed, and some.
REDEPLOYED = 61


class Policy(NamedTuple):
    """Who made a figure: `static`, `ds_eplb`, or `once`, which is DS-EPLB at the first call, kept for good.

    window, latency: in iterations, 0 for static.
    """

    name: str
    ep: int
    window: int
    latency: int = 0

    def __str__(self) -> str:
        words = [self.name, f"ep {self.ep}"]
        words += [f"window {self.window}"] if self.window else []
        return ", ".join([*words, f"latency {self.latency}"] if self.latency else words)


class Cell(NamedTuple):
    """Mean PAR over all layers and iterations, and slots transmitted, of one policy."""

    policy: Policy
    mean_par: float
    transmit_amount: int


class Curve(NamedTuple):
    """Mean PAR over all layers, of the ten iterations around each of `iterations`."""

    policy: Policy
    iterations: tuple[float, ...]
    mean_par: tuple[float, ...]


class Published(NamedTuple):
    """All figures of one trace."""

    cells: list[Cell]
    curves: list[Curve]


def read_published(path: Path, name: str) -> list[Cell]:
    """The figures of the static deployment and of DS-EPLB on the trace `name`, as a CSV file states them.

    Raises OrganizerError for a file that is not of this form, as the other readers do. Other policies are passed over.
    """
    with _rows(path, name, CELL_COLUMNS) as rows:
        return sorted(_cell(row) for row in rows if row["policy"] in ("static", "ds_eplb"))


def read_once(path: Path, name: str) -> list[Cell]:
    """The figures of a policy that deploys once on the trace `name`. Raises OrganizerError."""
    with _rows(path, name, ONCE_COLUMNS) as rows:
        return sorted(_once(row) for row in rows)


def read_curves(path: Path, name: str) -> list[Curve]:
    """The curves of the trace `name`, whole. Raises OrganizerError."""
    points: dict[Policy, list[tuple[float, float]]] = {}
    with _rows(path, name, CURVE_COLUMNS) as rows:
        for policy, iteration, par in map(_point, rows):
            points.setdefault(policy, []).append((iteration, par))
    return [Curve(policy, *zip(*sorted(of), strict=True)) for policy, of in sorted(points.items())]


def redeployed(curves: Iterable[Curve]) -> list[Curve]:
    """The curves from where the first redeployment is complete on; one without such a point is left out."""
    found = []
    for policy, iterations, mean_par in curves:
        first = policy.window + REDEPLOYED if policy.window else 0
        if inside := [point for point in zip(iterations, mean_par, strict=True) if point[0] >= first]:
            found.append(Curve(policy, *zip(*inside, strict=True)))
    return found


@contextmanager
def _rows(path: Path, name: str, columns: tuple[str, ...]) -> Iterator[list[dict[str, str]]]:
    """The rows of the trace `name`. What is wrong with the file, or found wrong with a row, becomes OrganizerError."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, restval="")
            if missing := [column for column in columns if column not in (reader.fieldnames or ())]:
                raise ValueError(f"no column {', '.join(missing)}")
            yield [row for row in reader if f"{row['model']}/{row['dataset']}" == name]
    except (OSError, ValueError, csv.Error) as error:
        what, expected = "the published figures cannot be read", f"a CSV file with the columns {', '.join(columns)}"
        raise OrganizerError(what, str(error), expected, "correct the file", str(path)) from None


def _cell(row: Mapping[str, str]) -> Cell:
    policy = Policy("static", int(row["ep"]), 0)
    if row["policy"] != "static":
        policy = Policy(row["policy"], policy.ep, _window(row["collection_window"]), _latency(row, policy.ep))
    return Cell(policy, _par(row), int(row["transmit_amount"]))


def _latency(row: Mapping[str, str], ep: int) -> int:
    if row["latency_iterations"] == "none":
        return 0
    if row["latency_iterations"] != "measured":
        raise ValueError(f"latency_iterations must be none or measured, got {row['latency_iterations']!r}")
    if ep not in MEASURED_LATENCY:
        raise ValueError(f"ep {ep} has no known measured latency, only {', '.join(map(str, MEASURED_LATENCY))} have")
    return MEASURED_LATENCY[ep]


def _once(row: Mapping[str, str]) -> Cell:
    policy = Policy("once", int(row["ep"]), _window(row["collection_window"]))
    return Cell(policy, _par(row), int(row["transmit_amount"]))


def _point(row: Mapping[str, str]) -> tuple[Policy, float, float]:
    found = CURVE.fullmatch(row["curve"])
    if not found:
        raise ValueError(f"{row['curve']!r} is no curve: {CURVE_NAMES}")
    kept, replanned = found.groups()
    name = "once" if kept else "static" if row["curve"] == "static" else "ds_eplb"
    window = 0 if name == "static" else _window(kept or replanned or str(CURVE_WINDOW))
    return Policy(name, int(row["ep"]), window), float(row["iteration"]), _par(row)


def _window(text: str) -> int:
    window = int(text)
    if window < 1:
        raise ValueError(f"a collection window must be at least 1, got {window}")
    return window


def _par(row: Mapping[str, str]) -> float:
    par = float(row["mean_par"])
    if not 1 <= par < float("inf"):
        raise ValueError(f"mean_par must be a number of at least 1, got {row['mean_par']}")
    return par
