"""Rules for what participants run at home: the kit has its grid's traces, and the grid that it has is the phase's."""

from __future__ import annotations

from collections.abc import Iterator

from bundling.parts import KIT_GRID, KIT_TRACES, grid_traces, trace_names
from bundling.reader import Bundle, Fault, mapping_of
from bundling.rules_programs import KIT, kit_grid, phase_grids


def kit_traces(bundle: Bundle) -> Iterator[Fault]:
    """Every trace of the kit's grid is there; that the manifest lists what is there, another rule says."""
    for trace in grid_traces(mapping_of(bundle.kit.get(KIT_GRID, b""))):
        if not trace_names(trace) & set(bundle.kit):
            next_step = f"put it into {KIT_TRACES}, git add it, and build again"
            expected = f"every trace of {KIT_GRID}"
            yield Fault(KIT, "lacks a trace of its grid", f"no {KIT_TRACES}/{trace}.npz or .npy", expected, next_step)


def same_grid(bundle: Bundle) -> Iterator[Fault]:
    """A phase whose grid has the kit's name runs the kit's grid, or the same digits come from nowhere."""
    kit = kit_grid(bundle)
    for phase, grid in phase_grids(bundle).items():
        if kit is None or grid.name != kit.name or grid == kit:
            continue
        different = [key for key in vars(kit) if getattr(grid, key) != getattr(kit, key)]
        got, expected = f"another {', another '.join(different)}", f"one grid {kit.name} in both"
        next_step = f"make {KIT_GRID} the phase's grid, with its traces and reference, or give the phase's another name"
        yield Fault(phase, f"its grid {grid.name} is not the kit's", got, expected, next_step)


RULES = (kit_traces, same_grid)
