"""Where a stored result is not what its log of decisions gives: case, call, iteration, layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from placement.measuring import Application
from placement.replay import Replay
from placement.results import MEASURES, series

# Curves are means that two builds of numpy may round apart; numbers of results.json are exact.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Difference:
    """The first number of a case that differs, and where the curves part: None where they do not tell.

    iteration: the first whose transmit amount or PAR differs; layer, call: the redeployment behind it.
    """

    case: str
    measure: str
    stored: Any
    recomputed: Any
    call: int | None = None
    iteration: int | None = None
    layer: int | None = None

    def __str__(self) -> str:
        places = {"call": self.call, "iteration": self.iteration, "layer": self.layer}
        told = [f"{name} {value}" for name, value in places.items() if value is not None]
        where = ", ".join([self.case, *told])
        return f"{where}: {self.measure} differs. Stored: {self.stored}. From the log: {self.recomputed}."


def difference(
    row: Mapping[str, Any], curves: Mapping[str, np.ndarray], measured: Replay, numbers: Mapping[str, Any]
) -> Difference | None:
    """What differs between a stored row with its curves, and a replay with its numbers; None where nothing does."""
    own = series(measured)
    # Curves of another length are of another trace; they tell no place.
    fitting = {name: curve for name, curve in curves.items() if curve.shape == own[name].shape}
    apart = {name: np.abs(own[name] - curve) > TOLERANCE for name, curve in fitting.items()}
    wrong = next((name for name in MEASURES if row.get(name) != numbers[name]), None)
    case = measured.case.name
    if wrong is None:
        curve = next((name for name in apart if apart[name].any()), None)
        if curve is None:
            return None
        at = int(apart[curve].argmax())
        told = f"{curve}[{at}] of series.npz", float(fitting[curve][at]), float(own[curve][at])
    else:
        told = wrong, row.get(wrong), numbers[wrong]
    return Difference(case, *told, *_place(apart, fitting, own, measured))


def _place(
    apart: Mapping[str, np.ndarray],
    stored: Mapping[str, np.ndarray],
    own: Mapping[str, np.ndarray],
    measured: Replay,
) -> tuple[int | None, int | None, int | None]:
    """Call, iteration and layer of the first difference of the curves."""
    firsts = {
        name: int(apart[name].argmax()) + 1 for name in ("transmit", "par") if name in apart and apart[name].any()
    }
    if not firsts:
        return None, None, None
    iteration = min(firsts.values())
    if firsts.get("transmit") == iteration:
        found = next((part for part in measured.applications if part.iteration == iteration), None)
    else:
        found = _behind(apart, stored, own, measured, iteration)
    if found:
        return found.call, iteration, found.layer
    # Such as a redeployment that the log does not have.
    calls = [number for number, call in enumerate(measured.calls, 1) if call < iteration]
    return (calls[-1] if calls else None), iteration, None


def _behind(
    apart: Mapping[str, np.ndarray],
    stored: Mapping[str, np.ndarray],
    own: Mapping[str, np.ndarray],
    measured: Replay,
    iteration: int,
) -> Application | None:
    """The last redeployment, before an iteration, of the layer whose mean PAR differs most of those that have one."""
    if "layer_par" not in apart:
        return None
    gaps = np.abs(own["layer_par"] - stored["layer_par"])
    before = {part.layer: part for part in measured.applications if part.iteration < iteration}
    # The one that has just begun to count comes first: later ones may differ by more.
    fresh = [part for part in before.values() if part.iteration == iteration - 1 and apart["layer_par"][part.layer]]
    differing = sorted((layer for layer in before if apart["layer_par"][layer]), key=lambda layer: -gaps[layer])
    return fresh[0] if fresh else next((before[layer] for layer in differing), None)
