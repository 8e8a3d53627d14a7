"""A replayed case as the plain values that its page is drawn from."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from placement.decisions import pack
from placement.deployment import initial_deployment
from placement.grid import Cost
from placement.replay import Replay
from placement.trace import Trace

from .gains import Gain, Prices, gains_of, prices_of
from .loads import curve, expert_means, par_means, quantised
from .pieces import Pieces, pieces_of

# A screen shows no more; loads of all experts take 2 bytes each, of the 3 MB that a page may have.
MOST_PIECES, MOST_LOADS, MOST_BINS = 64, 800_000, 1024
# Of all arrays together, before base64: where many slots change, and of many layers, less is left for the loads.
MOST_BYTES = 1_900_000


def content_of(measured: Replay, trace: Trace, cost: Cost, most_pieces: int = MOST_PIECES) -> dict[str, Any]:
    """What the page's script reads, for JSON; arrays as base64 of little-endian integers.

    pieces: `calls`, `edges`, and mean `par` [piece][layer]; loads: `values`, uint16 [piece, layer, expert] of `scales`
    [piece][layer]; curve: PAR, uint16 [layer, bin], above 1, of `scale`; log: as decisions.npz has it; gains: a list
    for each application; start: the costliest piece and layer; prices: modeled seconds.
    """
    log, ids = pack(measured), np.dtype("<u2" if trace.experts > 256 else "u1")
    starts, bins = curve(measured.par, MOST_BINS)
    left = MOST_BYTES - log["slots"].nbytes - log["experts"].size * ids.itemsize - 2 * bins.size
    loads = max(min(MOST_LOADS, left // 2), 0)
    most = max(min(most_pieces, trace.iterations, loads // (trace.layers * trace.experts)), 1)
    pieces = pieces_of(measured, most)
    means, par = expert_means(trace, pieces.edges), par_means(measured.par, pieces)
    scales = means.max(axis=2)
    case, prices = measured.case, prices_of(cost, trace.iterations, trace.layers)
    sizes = {name: getattr(case, name) for name in ("layers", "experts", "devices", "slots")}
    return {
        "sizes": sizes | {"iterations": trace.iterations},
        "prices": vars(prices),
        "initial": initial_deployment(1, case.experts, case.devices, case.redundant_experts).ravel().tolist(),
        "pieces": {"calls": pieces.calls.tolist(), "edges": pieces.edges.tolist(), "par": np.round(par, 4).tolist()},
        "loads": {
            "values": _base64(quantised(means, scales[:, :, None])),
            "scales": [[float(f"{scale:.6g}") for scale in row] for row in scales.tolist()],
        },
        "curve": {
            "starts": starts.tolist(),
            "scale": (scale := float(bins.max() - 1)),
            "values": _base64(quantised(np.maximum(bins - 1, 0), np.array(scale))),
        },
        "log": {name: log[name].tolist() for name in ("calls", "listed", "layers", "changed")}
        | {"slots": _base64(log["slots"]), "experts": _base64(log["experts"].astype(ids)), "id_bytes": ids.itemsize},
        "gains": [_gain_row(gain, prices) for gain in gains_of(measured, trace)],
        "start": dict(zip(("piece", "layer"), costliest(pieces, par), strict=True)),
    }


def costliest(pieces: Pieces, par: np.ndarray) -> tuple[int, int]:
    """Piece and layer with the most modeled seconds above a perfect balance, of what comes after the first call.

    par: mean of each, [piece, layer]. What comes before is the same for every policy, and counts where nothing else is.
    """
    seconds = np.maximum(par - 1, 0) * pieces.lengths.T
    after = seconds * (pieces.calls > 0)[:, None]
    piece, layer = np.unravel_index(np.argmax(after if after.any() else seconds), seconds.shape)
    return int(piece), int(layer)


def call_rows(content: dict[str, Any]) -> list[tuple[int, int, int, int, int, float, float]]:
    """For each call its number, iteration, layers listed and applied, changed slots, and seconds gained and paid."""
    log = content["log"]
    rows = [
        [number, iteration, listed, 0, 0, 0.0, 0.0]
        for number, (iteration, listed) in enumerate(zip(log["calls"], log["listed"], strict=True), 1)
    ]
    for gain in content["gains"]:
        row = rows[gain["call"] - 1]
        row[3] += 1
        for column, name in ((4, "changed"), (5, "gained"), (6, "paid")):
            row[column] += gain[name]
    return [tuple(row) for row in rows]


def _gain_row(gain: Gain, prices: Prices) -> dict[str, Any]:
    means = {name: None if (mean := getattr(gain, name)) is None else round(mean, 4) for name in ("par", "par_before")}
    return vars(gain) | means | {"gained": round(prices.gained(gain), 6), "paid": round(prices.paid(gain), 6)}


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
