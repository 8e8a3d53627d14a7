"""The sample grid's reference, which ships, computed again from the traces that ship."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from commands.places import GRID, REFERENCE, TRACES
from commands.selection import read_grid
from placement.evaluation.grid_run import cores
from placement.traces.files import TraceFolder, manifest_beside
from traces.reference import build, write

FILES = ("ds_eplb.json", "series.npz")


def check_reference(grid: Path = GRID, traces: Path = TRACES, shipped: Path = REFERENCE) -> tuple[str, list[str]]:
    """Compute a reference again: how its files equal those that ship, and what differs.

    Raises OSError and OrganizerError.
    """
    folder = TraceFolder(traces, manifest_beside(traces, []))
    reference, curves = build(read_grid(grid), folder, cores())
    with TemporaryDirectory(prefix="reference-") as made:
        write(Path(made), reference, curves)
        wrong = differences(shipped, Path(made))
        same = all((shipped / name).read_bytes() == (Path(made) / name).read_bytes() for name in FILES)
    # Other versions are stated in the files, and may compress otherwise.
    how = "differ" if wrong else "as they ship, byte for byte" if same else "as they ship, digit for digit"
    return f"{len(reference['cases'])} cases and {len(curves)} curves {how}", wrong


def differences(shipped: Path, made: Path) -> list[str]:
    """What differs between two references: their values, but not who computed them. Raises OSError."""
    old, new = (json.loads((folder / "ds_eplb.json").read_text(encoding="utf-8")) for folder in (shipped, made))
    wrong = [f"ds_eplb.json, {key}" for key in sorted({*old, *new} - {"versions"}) if old.get(key) != new.get(key)]
    with np.load(shipped / "series.npz") as before, np.load(made / "series.npz") as after:
        names = sorted({*before.files, *after.files})
        both = {*before.files} & {*after.files}
        wrong += [
            f"series.npz, {name}"
            for name in names
            if name not in both
            or before[name].dtype != after[name].dtype
            or not np.array_equal(before[name], after[name])
        ]
    return wrong
