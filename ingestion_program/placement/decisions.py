"""What a policy decided in a case: as compact arrays, read back, and played back to the replay without the policy.

The arrays of a case, by name:

    sizes    int64 [5]: iterations, layers, experts, devices, slots
    calls    [call]: the iteration of each call
    listed   [call]: how many layers the call listed, 0 where the policy declined
    layers   [listed layer]: the layers, call after call, in the policy's order
    changed  int32 [listed layer]: how many slots changed, -1 where the trace ended before the layer was applied
    slots    uint8 [applied layer, byte]: a bit for each slot, device after device, the first bit the highest: changed
    experts  [changed slot]: the experts that came, layer after layer, in order of the slots

All are little-endian; where no type stands, the smallest unsigned one that holds the values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .answer import Redeployment
from .deployment import initial_deployment
from .errors import OrganizerError
from .grid import Case
from .replay import Replay, replay
from .trace import Hotness

NAMES = ("sizes", "calls", "listed", "layers", "changed", "slots", "experts")


@dataclass(frozen=True)
class Move:
    """What changed in one applied layer: int64 slots (device * slots per device + slot), and the experts that came."""

    layer: int
    slots: np.ndarray
    experts: np.ndarray


@dataclass(frozen=True)
class Decision:
    """One call's answer: the listed layers in order, none where the policy declined, and the moves of the first of
    them, as far as the trace went."""

    iteration: int
    layers: tuple[int, ...]
    moves: tuple[Move, ...]


@dataclass(frozen=True)
class Sizes:
    """How long the trace was and how large its case, which the decisions are of."""

    iterations: int
    layers: int
    experts: int
    devices: int
    slots: int


def sizes_of(case: Case, iterations: int) -> Sizes:
    """The sizes of a case on a trace of so many iterations."""
    return Sizes(iterations, case.layers, case.experts, case.devices, case.slots)


def pack(measured: Replay) -> dict[str, np.ndarray]:
    """The decisions of a replay as the arrays NAMES."""
    case = measured.case
    live = initial_deployment(case.layers, case.experts, case.devices, case.redundant_experts)
    changed: list[int] = []
    masks, experts = [np.zeros((0, case.devices * case.slots), bool)], [np.zeros(0, np.int64)]
    applied = iter(measured.applications)
    for layer in (layer for priority in measured.priorities for layer in priority):
        if (application := next(applied, None)) is None:
            # The trace ended before this layer's turn.
            changed.append(-1)
            continue
        mask = (live[layer] != application.rows).reshape(1, -1)
        changed.append(application.changed)
        masks.append(mask)
        experts.append(application.rows.reshape(-1)[mask[0]])
        live[layer] = application.rows
    sizes = sizes_of(case, len(measured.par))
    return {
        "sizes": np.array(list(vars(sizes).values()), "<i8"),
        "calls": _smallest(measured.calls),
        "listed": _smallest(measured.listed),
        "layers": _smallest([layer for priority in measured.priorities for layer in priority]),
        "changed": np.array(changed, "<i4"),
        "slots": np.packbits(np.concatenate(masks), axis=1),
        "experts": _smallest(np.concatenate(experts)),
    }


def unpack(arrays: Mapping[str, np.ndarray]) -> tuple[Sizes, list[Decision]]:
    """The sizes and decisions that `pack` made arrays of.

    Raises ValueError for arrays that do not fit together; ids of experts are left to the replay's own check.
    """
    if missing := [name for name in NAMES if name not in arrays]:
        raise ValueError(f"no array {missing[0]}")
    for name in NAMES:
        if arrays[name].dtype.kind not in "iu" or arrays[name].ndim != (2 if name == "slots" else 1):
            raise ValueError(f"{name} is {arrays[name].dtype} {list(arrays[name].shape)}")
    given = {name: arrays[name].astype(np.int64) for name in NAMES if name != "slots"}
    if len(given["sizes"]) != 5 or given["sizes"].min() < 1:
        raise ValueError(f"sizes are {given['sizes'].tolist()}")
    sizes = Sizes(*given["sizes"].tolist())
    listed, layers, changed = given["listed"], given["layers"], given["changed"]
    width = sizes.devices * sizes.slots
    masks = np.unpackbits(arrays["slots"].astype(np.uint8), axis=1)[:, :width].astype(bool)
    applied = changed >= 0
    lengths = {
        "listed": (len(listed), len(given["calls"])),
        "layers": (len(layers), int(listed.sum())),
        "changed": (len(changed), len(layers)),
        "slots": (list(arrays["slots"].shape), [int(applied.sum()), -(-width // 8)]),
        "experts": (len(given["experts"]), int(changed[applied].sum())),
    }
    for name, (got, expected) in lengths.items():
        if got != expected:
            raise ValueError(f"{name} has length {got}, not {expected}")
    if layers.size and (layers.min() < 0 or layers.max() >= sizes.layers):
        raise ValueError(f"layers hold {layers.min()} .. {layers.max()}, not 0 .. {sizes.layers - 1}")
    if wrong := np.flatnonzero(masks.sum(axis=1) != changed[applied]).tolist():
        raise ValueError(f"slots and changed differ at applied layer {wrong[0]}")
    return sizes, _decisions(given, masks)


def replay_decisions(trace: Hotness, case: Case, decisions: list[Decision]) -> Replay:
    """Replay a trace with the logged answers.

    Raises OrganizerError, with call and iteration, where the replay calls at other iterations than the log, and
    PolicyError for an answer that breaks a rule, which no log of a scored case holds.
    """
    answers = iter(enumerate(decisions, 1))

    def answer(start: int, stop: int, deployment: np.ndarray, iteration: int) -> Redeployment | None:
        number, decision = next(answers, (len(decisions) + 1, None))
        if decision is None or decision.iteration != iteration:
            got = "no further call" if decision is None else f"iteration {decision.iteration}"
            raise _other_calls(number, got, f"a call at iteration {iteration}")
        if not decision.layers:
            return None
        for move in decision.moves:
            deployment[move.layer].reshape(-1)[move.slots] = move.experts
        return np.array(decision.layers, np.int64), deployment

    measured = replay(trace, case, answer)
    if left := next(answers, None):
        raise _other_calls(left[0], f"iteration {left[1].iteration}", "no further call")
    return measured


def _decisions(given: Mapping[str, np.ndarray], masks: np.ndarray) -> list[Decision]:
    decisions, layer, row, expert = [], 0, 0, 0
    for call, count in zip(given["calls"].tolist(), given["listed"].tolist(), strict=True):
        listed, moves = given["layers"][layer : layer + count].tolist(), []
        for number, changed in zip(listed, given["changed"][layer : layer + count].tolist(), strict=True):
            if changed >= 0:
                moves.append(Move(number, np.flatnonzero(masks[row]), given["experts"][expert : expert + changed]))
                row, expert = row + 1, expert + changed
        decisions.append(Decision(call, tuple(listed), tuple(moves)))
        layer += count
    return decisions


def _other_calls(number: int, got: str, expected: str) -> OrganizerError:
    next_step = "replay the log with the window, the latency and a trace of the length that it was written with"
    return OrganizerError("the log of decisions has other calls", got, expected, next_step, f"call {number}")


def _smallest(values: list[int] | np.ndarray) -> np.ndarray:
    """Integers from 0 in the smallest unsigned type."""
    array = np.asarray(values, np.int64)
    return array.astype(np.min_scalar_type(int(array.max(initial=0))).newbyteorder("<"))
