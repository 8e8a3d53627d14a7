"""Measures policies on traces that are drawn, used by all and removed; what is finished is kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from commands.frame import RunFailed, frame_of
from commands.options import UsageError
from commands.seeds import World
from commands.selection import write_grid
from commands.units import is_kept, results_of
from placement.traces.files import TraceFolder
from scores.yardsticks import yardstick_row
from traces.manifest import entry_of, read_manifest, write_manifest
from traces.reference import build
from traces.store import find, keep, path_of
from traces.trace_file import write_trace

from .families import BoardTrace

GB = 10**9
CLAIRVOYANT = "clairvoyant DS-EPLB, moves free"
NO_TIME = {"policy_seconds": 0.0, "slowest_call_seconds": 0.0}
Show = Callable[[str], None]


class Row(NamedTuple):
    """One case of one policy."""

    family: str
    seed: int
    policy: str
    case: str
    model: str
    dataset: str
    ep: int
    score: float
    mean_par: float
    transmit: int
    slowest_call_seconds: float
    trace_sha256: str


@dataclass(frozen=True)
class Place:
    """units: keeps what is finished; traces: holds drawn ones, at most `disk` bytes of them; jobs: runs at a time."""

    units: Path
    traces: Path
    disk: int
    jobs: int


def measure(
    traces: Sequence[BoardTrace], policies: Mapping[str, Path], place: Place, show: Show
) -> tuple[list[Row], dict[str, str]]:
    """A row for each case of each policy, in the order of traces and policies; and why a policy has none.

    policies: folders by name; before them comes CLAIRVOYANT, a yardstick. A policy that fails on a trace is run on no
    further one, and has no row at all. Raises UsageError for a trace that is larger than the disk, OrganizerError, and
    RunFailed where it is no policy's fault.
    """
    rows: list[Row] = []
    failed: dict[str, str] = {}
    for number, trace in enumerate(traces, 1):
        left = {name: folder for name, folder in policies.items() if name not in failed}
        stored, results = _measure_trace(trace, left, place, failed, show)
        show(f"[{number}/{len(traces)}] {trace.family}, seed {trace.seed}, {trace.name}: finished")
        ideal = [yardstick_row(row, "clairvoyant") | {"status": "ok"} | NO_TIME for row in stored["cases"]]
        contents = {CLAIRVOYANT: {"status": "scored", "cases": ideal, "versions": stored["versions"]}, **results}
        for name, content in contents.items():
            rows += _rows(trace, name, content, stored)
    return [row for row in rows if row.policy not in failed], failed


def _measure_trace(
    trace: BoardTrace, policies: Mapping[str, Path], place: Place, failed: dict[str, str], show: Show
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The content of ds_eplb.json, and of results.json by policy; who fails is added to `failed`."""
    folder = place.traces / _folder_name(trace)
    world = World(folder / "grid.yaml", folder / "traces", folder)
    stored = find(place.units, trace.made_of())
    if stored is None:
        _draw(trace, world, place, show)
        manifest = read_manifest(world.traces)
        stored, _ = build(trace.grid, TraceFolder(world.traces, manifest))
        stored = keep(place.units, trace.made_of(), stored)
    write_grid(world.grid, trace.grid_file)
    missing = [name for name, policy in policies.items() if not is_kept(policy, world, stored, place.units)]
    if missing:
        _draw(trace, world, place, show)
    results: dict[str, dict[str, Any]] = {}
    pool = ThreadPoolExecutor(place.jobs)
    try:
        runs = {pool.submit(results_of, policies[name], world, stored, place.units, 1): name for name in missing}
        for run in as_completed(runs):
            name = runs[run]
            try:
                results[name] = run.result()
                frame = frame_of(results[name], stored, None)
            except RunFailed as error:
                if error.status == "data_unavailable":
                    raise
                failed[name] = f"{trace.family}, seed {trace.seed}, {trace.name}: {error}"
                show(f"{name}: {failed[name]}")
            else:
                slowest = frame["slowest_call_seconds"].max()
                show(f"  {name}: {frame.attrs['composite_score']:.2f}, a call at most {slowest:.2f} s")
    finally:
        pool.shutdown(cancel_futures=True)
    for name in policies:
        if name not in missing:
            results[name] = results_of(policies[name], world, stored, place.units, 1)
    return stored, {name: results[name] for name in policies if name not in failed}


def _draw(trace: BoardTrace, world: World, place: Place, show: Show) -> None:
    """Write the trace unless it is there, and remove the oldest others where there is no room for it."""
    if trace.name in read_manifest(world.traces)["traces"]:
        return
    if trace.bytes > place.disk:
        got, expected = f"{place.disk / GB:.1f} GB", f"at least {trace.bytes / GB:.1f} GB, for {trace.name}"
        raise UsageError("--disk is smaller than a trace", got, expected, "give more, or leave the family out")
    others = [folder for folder in place.traces.glob("*") if folder != world.traces.parent]
    others.sort(key=lambda folder: folder.stat().st_mtime_ns)
    while others and sum(map(_size, others)) + trace.bytes > place.disk:
        shutil.rmtree(others.pop(0))
    show(f"  draws {trace.name}, {trace.bytes / GB:.2f} GB")
    values = trace.new.values()
    file = f"{trace.name}.npy"
    write_trace(world.traces / file, values)
    entry = entry_of(file, values, trace.new.origin(), trace.new.licence)
    write_manifest(world.traces, {"traces": {trace.name: entry}})


def _rows(trace: BoardTrace, name: str, content: dict[str, Any], stored: dict[str, Any]) -> list[Row]:
    frame = frame_of(content, stored, None)
    rows = []
    for case, measured, reference in zip(trace.grid.cases, frame.to_dict("records"), stored["cases"], strict=True):
        numbers = [measured[key] for key in ("case_score", "mean_par", "transmit_amount", "slowest_call_seconds")]
        named = (case.name, case.model, case.dataset, case.ep)
        rows.append(Row(trace.family, trace.seed, name, *named, *numbers, reference["trace_sha256"]))
    return rows


def _folder_name(trace: BoardTrace) -> str:
    # The digits change with whatever changes a value.
    digits = path_of(Path(), trace.made_of()).stem
    return f"{trace.family}-{trace.seed}-{trace.name.replace('/', '-')}-{digits}"


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
