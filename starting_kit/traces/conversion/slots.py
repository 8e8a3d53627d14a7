"""Counts of slots, device by device, folded to the experts that the slots held."""

from __future__ import annotations

import numpy as np

from placement.errors import OrganizerError

from .counts import as_counts, float_note


def to_experts(
    counts: np.ndarray, table: np.ndarray | None, experts: int | None, where: str
) -> tuple[np.ndarray, list[str]]:
    """int32 [iteration, layer, expert] of counts [iteration, layer, slot], slots in order of devices, and notes.

    table: integers [layer, slot], the expert in each slot; None where the person states with `experts` that every
    expert has one slot, in order. Replicas of an expert add up. Raises OrganizerError where neither is stated, and for
    a table that does not fit.
    """
    stored = counts.dtype
    counts = as_counts(counts, where, ("iteration", "layer", "slot"), floats=True)
    notes = float_note(stored, int(counts.max(initial=0)))
    layers, slots = counts.shape[1:]
    if table is None:
        if experts != slots:
            got = f"{slots} slots in a layer, " + ("no --map" if experts is None else f"--experts {experts}, no --map")
            expected = "the experts that the slots held, or as many experts as slots"
            next_step = (
                "give --map FILE, the deployment while recording; or --experts N where no expert had two slots or was"
                " moved"
            )
            if experts is not None and slots < experts:
                next_step = "give every rank's file: that of the last rank may be missing; or correct --experts"
            raise OrganizerError("the counts are of slots", got, expected, next_step, where)
        return counts.astype(np.int32), [
            *notes,
            "slots taken as experts in order: right only where no expert was moved",
        ]
    table = _fitting(table, layers, slots, experts, where)
    number = int(table.max()) + 1 if experts is None else experts
    hotness = np.empty((len(counts), layers, number), np.int32)
    for layer, row in enumerate(table):
        # Every expert has a slot, so the slots in order of their experts begin anew at each.
        order = np.argsort(row, kind="stable")
        firsts = np.searchsorted(row[order], np.arange(number))
        sums = np.add.reduceat(counts[:, layer, order], firsts, axis=1, dtype=np.int64)
        hotness[:, layer] = as_counts(sums, f"{where}, layer {layer} (from 0)", ("iteration", "expert"))
    return hotness, [*notes, "slots folded to experts with --map: right only while that deployment stood"]


def _fitting(table: np.ndarray, layers: int, slots: int, experts: int | None, where: str) -> np.ndarray:
    expected = f"[layer, slot] {[layers, slots]} as the counts have"
    if table.shape[1] == slots and len(table) > layers:
        got, next_step = f"{len(table)} rows", "name the layers of the counts with --layers, as --layers 3-60"
        raise OrganizerError("--map does not fit the counts", got, expected, next_step, where)
    if table.shape[1] > slots:
        got, next_step = f"[layer, slot] {list(table.shape)}", "give every rank's file, or the deployment that stood"
        raise OrganizerError("--map does not fit the counts", got, expected, next_step, where)
    if table.shape != (layers, slots):
        raise _wrong("--map does not fit the counts", f"[layer, slot] {list(table.shape)}", expected, where)
    number = int(table.max()) + 1 if experts is None else experts
    if table.min() < 0 or table.max() >= number:
        got = f"experts {table.min()} .. {table.max()}"
        raise _wrong("--map names ids that are not experts", got, f"0 .. {number - 1}", where)
    held = np.zeros((layers, number), bool)
    held[np.arange(layers)[:, None], table] = True
    if not held.all():
        layer, expert = np.argwhere(~held)[0]
        got, expected = f"no slot for expert {expert} in layer {layer} (from 0)", f"each of {number} experts"
        raise _wrong("--map leaves an expert out", got, expected, where)
    return table


def _wrong(what: str, got: str, expected: str, where: str) -> OrganizerError:
    return OrganizerError(what, got, expected, "give the deployment that stood while recording", where)
