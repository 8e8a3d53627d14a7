"""Published figures of recorded traces: what a profile is fitted to."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from placement.errors import OrganizerError

# The policy's own seconds delayed the published redeployments. In iterations, by number of devices: ep 256 was taken
# as 50 from the policy's 4 seconds, but its transmit amounts fit 45 only.
MEASURED_LATENCY = {32: 7, 64: 12, 128: 25, 256: 45}
CELL_COLUMNS = ("model", "dataset", "ep", "policy", "collection_window", "latency_iterations", "mean_par")
CELL_COLUMNS += ("transmit_amount",)
ONCE_COLUMNS = ("model", "dataset", "ep", "collection_window", "mean_par", "transmit_amount")
CURVE_COLUMNS = ("model", "dataset", "ep", "curve", "iteration", "mean_par")
# A curve of DS-EPLB at window 1024, and those of two policies that DS-EPLB stands in for.
CURVE = re.compile(r"static|ds_eplb|kept_from_first_(\d+)|replanned_every_(\d+)")
CURVE_WINDOW = 1024
# From a window's end until every layer is redeployed, and some.
REDEPLOYED = 61
# The recorded policy of `replanned_every_...` planned no more from about 930 on.
LAST_REPLANNED = 1055

Figure = TypeVar("Figure")


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


def read_published(path: Path, name: str, may_lack: bool = False) -> list[Cell]:
    """The figures of the static deployment and of DS-EPLB on the trace `name`, as a CSV file states them.

    Raises OrganizerError for a file that is not of this form or, unless it may lack them, has none of the trace.
    """
    rows = _rows(path, name, CELL_COLUMNS, _cell, lambda row: row["policy"] in ("static", "ds_eplb"))
    if not rows and not may_lack:
        got = f"none of {name}"
        raise _wrong("the trace has no published figures", got, path, CELL_COLUMNS)
    return sorted(rows)


def read_once(path: Path, name: str) -> list[Cell]:
    """The figures of a policy that deploys once on the trace `name`. Raises OrganizerError."""
    return sorted(_rows(path, name, ONCE_COLUMNS, _once))


def read_curves(path: Path, name: str) -> list[Curve]:
    """The curves of the trace `name`, from where every layer is redeployed on. Raises OrganizerError."""
    points: dict[Policy, list[tuple[float, float]]] = {}
    for policy, iteration, par in _rows(path, name, CURVE_COLUMNS, _point):
        points.setdefault(policy, []).append((iteration, par))
    curves = []
    for policy, of in sorted(points.items()):
        first = policy.window + REDEPLOYED if policy.window else 0
        last = LAST_REPLANNED if policy.name == "ds_eplb" and policy.window < CURVE_WINDOW else float("inf")
        if inside := sorted(point for point in of if first <= point[0] <= last):
            curves.append(Curve(policy, *zip(*inside, strict=True)))
    return curves


def _rows(
    path: Path,
    name: str,
    columns: tuple[str, ...],
    figure: Callable[[Mapping[str, str]], Figure],
    wanted: Callable[[Mapping[str, str]], bool] = lambda row: True,
) -> list[Figure]:
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if f"{row['model']}/{row['dataset']}" == name]
        return [figure(row) for row in rows if wanted(row)]
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        got = f"no column {error}" if isinstance(error, KeyError) else str(error)
        raise _wrong("the published figures cannot be read", got, path, columns) from None


def _wrong(what: str, got: str, path: Path, columns: tuple[str, ...]) -> OrganizerError:
    return OrganizerError(what, got, f"a CSV file with the columns {', '.join(columns)}", "correct the file", str(path))


def _cell(row: Mapping[str, str]) -> Cell:
    ep, window = int(row["ep"]), int(row["collection_window"] or 0)
    latency = 0
    if window and row["latency_iterations"] == "measured":
        if ep not in MEASURED_LATENCY:
            raise ValueError(
                f"ep {ep} has no known measured latency, only {', '.join(map(str, MEASURED_LATENCY))} have"
            )
        latency = MEASURED_LATENCY[ep]
    policy = Policy(row["policy"], ep, window, latency)
    return Cell(policy, float(row["mean_par"]), int(row["transmit_amount"]))


def _once(row: Mapping[str, str]) -> Cell:
    policy = Policy("once", int(row["ep"]), int(row["collection_window"]))
    return Cell(policy, float(row["mean_par"]), int(row["transmit_amount"]))


def _point(row: Mapping[str, str]) -> tuple[Policy, float, float]:
    found = CURVE.fullmatch(row["curve"])
    if not found:
        raise ValueError(f"{row['curve']!r} is no curve: {CURVE.pattern}")
    kept, replanned = found.groups()
    name = "once" if kept else "static" if row["curve"] == "static" else "ds_eplb"
    window = int(kept or replanned or CURVE_WINDOW) if name != "static" else 0
    return Policy(name, int(row["ep"]), window), float(row["iteration"]), float(row["mean_par"])
