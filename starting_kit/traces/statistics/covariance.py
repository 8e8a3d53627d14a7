"""What it is worth to a placement to know which experts are loaded together.

Two placements are learned from one window and measured on the next one. Both go through the experts by falling mean
share and put each on the device, among those with a free place, where mean + standard deviation of the device's share
becomes least. One takes the standard deviation from the device's shares in the window's blocks, covariances included;
the other one adds up the experts' variances, as if each expert moved alone. Both hedge against experts that vary much,
so what lies between them is what covariance is worth, and nothing else. It is about zero where nothing moves, small
where experts move alone, and negative where what moves together in one window does not in the next.

Measured at window 1024, in %, on the traces that family.py names:

    profiles of DS-R1 but Mix       2.8 to  7.4     requests, topics stationary     0.0 to  0.4
    profiles of Qwen3               0.4 to  1.0     requests, topics drifting       0.5 to  6.1
    DS-R1/Mix                       1.3 to  4.1     requests, topics switching      0.7 to 15.6
    independent but Mix            -0.1 to  0.7     stationary                      0.0 to  0.1
    independent DS-R1/Mix           0.7 to  6.5
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .blocks import shares

EXPERTS_PER_DEVICE = 8
# As many, evenly spread: more of them cost time and hardly move the mean.
LAYERS = 16


def covariance_worth(counts: np.ndarray, window: int) -> float:
    """By what part the mean PAR falls when a placement knows covariances: 0.01 is one per cent.

    counts: [block, layer, expert]; window: blocks, at most half of them are taken. Eight experts a device, at least two
    devices, no replicas; PAR of blocks; means over at most 16 layers and over all windows with a next one. NaN when a
    window has fewer than two blocks, or a layer fewer than two experts.
    """
    blocks, layers, experts = counts.shape
    window = min(window, blocks // 2)
    if window < 2 or experts < 2:
        return float("nan")
    chosen = np.unique(np.linspace(0, layers - 1, LAYERS).astype(np.int64))
    share = shares(counts[:, chosen]).transpose(1, 2, 0)
    windows = [share[:, :, start : start + window] for start in range(0, blocks - window + 1, window)]
    devices = max(experts // EXPERTS_PER_DEVICE, 2)
    knowing, alone = (
        np.mean([device_par(after, place(before, devices, known)) for before, after in pairwise(windows)])
        for known in (True, False)
    )
    return float(1 - knowing / alone)


def place(share: np.ndarray, devices: int, covariances: bool) -> np.ndarray:
    """Devices of the experts as the module says, bool [layer, expert, device].

    share: [layer, expert, block]; covariances: whether they are known. Of equal devices the first is taken.
    """
    layers, experts, blocks = share.shape
    mean = share.mean(axis=2)
    deviations = share - mean[:, :, None]
    variances = (deviations**2).mean(axis=2)
    free = np.full((layers, devices), -(-experts // devices))
    load, variance = np.zeros((2, layers, devices))
    together = np.zeros((layers, devices, blocks))
    result = np.zeros((layers, experts, devices), bool)
    every = np.arange(layers)
    for expert in np.argsort(-mean, axis=1, kind="stable").T:
        moves = deviations[every, expert]
        with_it = variance + variances[every, expert][:, None]
        if covariances:
            with_it += 2 * (together @ moves[:, :, None])[:, :, 0] / blocks
        score = load + np.sqrt(np.maximum(with_it, 0))
        device = np.where(free > 0, score, np.inf).argmin(axis=1)
        result[every, expert, device] = True
        free[every, device] -= 1
        load[every, device] += mean[every, expert]
        variance[every, device] = with_it[every, device]
        together[every, device] += moves
    return result


def device_par(share: np.ndarray, placement: np.ndarray) -> float:
    """Mean PAR over layers and blocks; share: [layer, expert, block]; placement: bool [layer, expert, device]."""
    loads = share.transpose(0, 2, 1) @ placement.astype(np.float64)
    return float((loads.max(axis=2) * loads.shape[2] / loads.sum(axis=2)).mean())
