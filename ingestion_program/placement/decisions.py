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
# As long as what was moved: these are not converted.
LARGE = ("slots", "experts")
# Bits that are set in each byte.
SET = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1).astype(np.uint8)


@dataclass(frozen=True)
class Move:
    """What changed in one applied layer: which slots, as bits, and the experts that came, of any integer type."""

    layer: int
    bits: np.ndarray
    experts: np.ndarray

    @property
    def slots(self) -> np.ndarray:
        """Device * slots per device + slot of each changed slot: int64, rising."""
        return np.flatnonzero(np.unpackbits(self.bits))


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
    # Bytes, which grow in place: a long trace has as many applications as it has iterations.
    bits, experts, kind = bytearray(), bytearray(), np.min_scalar_type(case.experts - 1)
    applied = iter(measured.applications)
    for layer in (layer for priority in measured.priorities for layer in priority):
        if (application := next(applied, None)) is None:
            # The trace ended before this layer's turn.
            changed.append(-1)
            continue
        mask = live[layer] != application.rows
        changed.append(application.changed)
        bits += np.packbits(mask).tobytes()
        experts += application.rows[mask].astype(kind).tobytes()
        live[layer] = application.rows
    sizes = sizes_of(case, len(measured.par))
    return {
        "sizes": np.array(list(vars(sizes).values()), "<i8"),
        "calls": _smallest(measured.calls),
        "listed": _smallest(measured.listed),
        "layers": _smallest([layer for priority in measured.priorities for layer in priority]),
        "changed": np.array(changed, "<i4"),
        "slots": np.frombuffer(bits, np.uint8).reshape(-1, -(-case.devices * case.slots // 8)),
        "experts": _smallest(np.frombuffer(experts, kind)),
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
    given = {name: arrays[name].astype(np.int64) for name in NAMES if name not in LARGE}
    if len(given["sizes"]) != 5 or given["sizes"].min() < 1:
        raise ValueError(f"sizes are {given['sizes'].tolist()}")
    sizes = Sizes(*given["sizes"].tolist())
    listed, layers, changed = given["listed"], given["layers"], given["changed"]
    width = sizes.devices * sizes.slots
    bits, experts = arrays["slots"].astype(np.uint8, copy=False), arrays["experts"]
    applied = changed >= 0
    lengths = {
        "listed": (len(listed), len(given["calls"])),
        "layers": (len(layers), int(listed.sum())),
        "changed": (len(changed), len(layers)),
        "slots": (list(arrays["slots"].shape), [int(applied.sum()), -(-width // 8)]),
        "experts": (len(experts), int(changed[applied].sum())),
    }
    for name, (got, expected) in lengths.items():
        if got != expected:
            raise ValueError(f"{name} has length {got}, not {expected}")
    if layers.size and (layers.min() < 0 or layers.max() >= sizes.layers):
        raise ValueError(f"layers hold {layers.min()} .. {layers.max()}, not 0 .. {sizes.layers - 1}")
    beyond = bits[:, -1:] & (0xFF >> 1 + (width - 1) % 8)
    if wrong := np.flatnonzero((SET[bits].sum(axis=1) != changed[applied]) | beyond.any(axis=1)).tolist():
        raise ValueError(f"slots and changed differ at applied layer {wrong[0]}")
    return sizes, _decisions(given, bits, experts)


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


def _decisions(given: Mapping[str, np.ndarray], bits: np.ndarray, experts: np.ndarray) -> list[Decision]:
    decisions, layer, row, expert = [], 0, 0, 0
    for call, count in zip(given["calls"].tolist(), given["listed"].tolist(), strict=True):
        listed, moves = given["layers"][layer : layer + count].tolist(), []
        for number, changed in zip(listed, given["changed"][layer : layer + count].tolist(), strict=True):
            if changed >= 0:
                moves.append(Move(number, bits[row], experts[expert : expert + changed]))
                row, expert = row + 1, expert + changed
        decisions.append(Decision(call, tuple(listed), tuple(moves)))
        layer += count
    return decisions


def _other_calls(number: int, got: str, expected: str) -> OrganizerError:
    next_step = "replay the log with the window, the latency and a trace of the length that it was written with"
    return OrganizerError("the log of decisions has other calls", got, expected, next_step, f"call {number}")


def _smallest(values: list[int] | np.ndarray) -> np.ndarray:
    """Integers from 0 in the smallest unsigned type."""
    array = values if isinstance(values, np.ndarray) else np.array(values, np.int64)
    return array.astype(np.min_scalar_type(int(array.max(initial=0))).newbyteorder("<"))
