"""A small profile, figures that its own traces measure, and files of published figures."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import kit
from traces.calibration.errors import Generated, Target, measure
from traces.calibration.published import CELL_COLUMNS, CURVE_COLUMNS, ONCE_COLUMNS, Cell, Curve, Policy, Published
from traces.calibration.sweep import Measured
from traces.generation.profile import Parameters, Profile, write_profile

PARAMETERS = Parameters(
    layer_sigma=0.5,
    layer_sigma_spread=0.1,
    topics=3,
    topic_strength=0.1,
    topic_period=150.0,
    own_drift=0.03,
    tokens_per_iteration=400.0,
    top_k=2,
)
PROFILE = Profile("M", "d", 4, 16, 300, "drawn by hand", PARAMETERS)
POLICIES = [
    Policy(name, ep, window) for name, window in (("ds_eplb", 40), ("once", 100), ("static", 0)) for ep in (2, 8)
]

# Figures by hand, of every group.
STATIC, UNDELAYED, DELAYED = Policy("static", 32, 0), Policy("ds_eplb", 32, 256), Policy("ds_eplb", 32, 256, 7)
ONCE = Policy("once", 32, 1024)
CELLS = [Cell(UNDELAYED, 1.25, 1000), Cell(DELAYED, 1.6, 1000), Cell(STATIC, 2.0, 0), Cell(ONCE, 1.5, 500)]
CURVES = [
    Curve(Policy("ds_eplb", 32, 1024), (1085.0, 1095.0), (1.25, 1.5)),
    Curve(STATIC, (5.0, 15.0), (1.0, 3.0)),
]
TARGET = Target(Published(CELLS, CURVES))
CURVE, STATIC_CURVE = "curve of ds_eplb, ep 32, window 1024", "curve of static, ep 32"
# The least that the command does.
MEASURE = ("--steps", 0, "--seeds", 1)


class Here(Executor):
    """Carries a job out when it is submitted, in this process."""

    def submit(self, call: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(call(*arguments, **named))
        return future


def target_of(profile: Profile, seed: int = 1, curves: tuple[Policy, ...] = (), aside: tuple[str, ...] = ()) -> Target:
    """Figures that a profile's own trace measures; curves from the end of a window and its redeployment on."""
    points = [Curve(policy, tuple(range(175, 295, 10)), (1.0,) * 12) for policy in curves]
    asked = Target(Published([Cell(policy, 1.0, 1) for policy in POLICIES], points))
    found = measure(Generated(profile, seed), asked)
    cells = [
        Cell(policy, measured.mean_par, int(measured.transmit_amount))
        for policy, measured in zip(POLICIES, found.cells, strict=True)
    ]
    curved = [curve._replace(mean_par=tuple(map(float, par))) for curve, par in zip(points, found.curves, strict=True)]
    return Target(Published(cells, curved), aside)


def table(path: Path, *rows: str, columns: tuple[str, ...] = CELL_COLUMNS) -> Path:
    """Write a file of published figures, rows as they stand."""
    path.write_text("\n".join([",".join(columns), *rows]) + "\n", encoding="utf-8")
    return path


def off_by(*parts: float) -> list[Measured]:
    """What measures so many times the PAR of CELLS, and the transmit amount."""
    return [
        Measured(cell.mean_par * part, cell.transmit_amount * part) for cell, part in zip(CELLS, parts, strict=True)
    ]


def write_files(folder: Path) -> None:
    """PROFILE's file, and figures and curves that a trace of another layer_sigma measures."""
    write_profile(folder / "profile.yaml", PROFILE)
    target = target_of(PROFILE.with_parameters(layer_sigma=0.4), curves=(POLICIES[2], POLICIES[4]))
    cells, once = [], []
    for (name, ep, window, _), par, transmit in target.published.cells:
        if name == "once":
            once.append(f"M,d,{ep},{window},{par!r},{transmit}")
        else:
            cells.append(f"M,d,{ep},{name},{window or ''},none,{par!r},{transmit}")
    points = [
        f"M,d,{curve.policy.ep},{'kept_from_first_100' if curve.policy.window else 'static'},{iteration},{par!r}"
        for curve in target.published.curves
        for iteration, par in zip(curve.iterations, curve.mean_par, strict=True)
    ]
    table(folder / "published.csv", *cells)
    table(folder / "once.csv", *once, columns=ONCE_COLUMNS)
    table(folder / "curves.csv", *points, columns=CURVE_COLUMNS)


def calibrate(folder: Path, *arguments: object) -> int:
    """Give the command with the files of a folder, in one process."""
    files = ["--profile", folder / "profile.yaml", "--published", folder / "published.csv", "--kept", folder / "kept"]
    return kit.main(["calibrate", *map(str, [*files, "--jobs", 1, *arguments])])


def with_all(folder: Path) -> list[object]:
    """The options that name the other published files."""
    return ["--once", folder / "once.csv", "--curves", folder / "curves.csv"]
