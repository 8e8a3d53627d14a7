"""The cases of a sweep as grids, so that `run`, `export`, `replay` and `reference` take up a row of its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from placement.grid import Case
from sweeps.plan import OK
from sweeps.trace_file import TraceFile

from .own_traces import fitted_grid
from .places import kit_command, short
from .selection import write_grid

if TYPE_CHECKING:
    import pandas as pd

NAME = "sweep"
Fitting = Sequence[tuple[TraceFile, Sequence[Case]]]


def write_grids(folder: Path, fitting: Fitting, cost: Mapping[str, float]) -> dict[tuple[str, int], Path]:
    """Write `<model>/<dataset>-window-N.yaml` for each trace and window of a sweep; their places by name and window.

    A grid has one window and one size of a model, and a run reads one folder of traces: so each trace has its grids.
    """
    written = {}
    for trace, cases in fitting:
        for window in dict.fromkeys(case.window for case in cases):
            path = folder / trace.model / f"{trace.dataset}-window-{window}.yaml"
            write_grid(path, _grid(trace, [case for case in cases if case.window == window], cost))
            written[trace.name, window] = path
    return written


def start_command(frame: pd.DataFrame, grids: Mapping[tuple[str, int], Path], output: Path) -> str:
    """The `export` of the row with the fewest modeled seconds of the first trace and ep; nothing where no case is ok.

    frame: of `sweep`, with its attrs.
    """
    measured = frame[frame["status"] == OK]
    if measured.empty:
        return ""
    first = measured.iloc[0]
    same = (measured[["model", "dataset", "ep"]] == first[["model", "dataset", "ep"]]).all(axis=1)
    row = measured.loc[measured["modeled_seconds"][same].idxmin()]
    name = f"{row['model']}/{row['dataset']}"
    (folder,) = [trace.folder for trace, _ in frame.attrs["cases"] if trace.name == name]
    policy = frame.attrs["policies"][f"{row['policy']} {row['parameters']}".rstrip()]
    case = f"{name}:{row['ep']}+{row['redundant_experts']}"
    where = ("--grid", short(grids[name, int(row["window"])]), "--traces", short(folder), "--case", case)
    return kit_command("export", short(policy), *where, "--to", "sglang", "--output", short(output / "start.json"))


def _grid(trace: TraceFile, cases: Sequence[Case], cost: Mapping[str, float]) -> dict[str, Any]:
    content = fitted_grid(NAME, {trace.name: trace.shape})
    rows = [
        {
            "model": trace.model,
            "dataset": trace.dataset,
            "ep": [ep],
            "redundant_experts": [case.redundant_experts for case in cases if case.ep == ep],
        }
        for ep in dict.fromkeys(case.ep for case in cases)
    ]
    return content | {"window": cases[0].window, "cost": dict(cost), "cases": rows}
