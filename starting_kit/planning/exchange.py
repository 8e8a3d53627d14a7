"""Exchanges: an expert of the device that risks most against one of another device, as long as that helps."""

from __future__ import annotations

import numpy as np

from .risk import POWER, Forecast, of_slots, risk


def exchange(forecast: Forecast, table: np.ndarray, steps: int, least: np.ndarray | float = 1e-4) -> np.ndarray:
    """A better table, int64 [layer, device, slot]: at most `steps` exchanges in a layer, each the best there is.

    least: by how much an exchange must lower the layer's objective, a number or [layer]. No device comes to hold an
    expert twice. The objective (risk.py) of no layer rises.
    """
    table = table.copy()
    going = np.arange(len(table))
    least = np.broadcast_to(least, len(table))
    for _ in range(steps):
        if not len(going):
            break
        going = going[_best_exchange(forecast.of_layers(going), table, going, least[going])]
    return table


def _best_exchange(forecast: Forecast, table: np.ndarray, going: np.ndarray, least: np.ndarray) -> np.ndarray:
    """Make the best exchange of each layer of `going` that gains enough, in place; returns where one was made."""
    rows = table[going]
    layers, devices, slots = rows.shape
    row = np.arange(layers)
    part = of_slots(forecast, rows)
    mean, variance, together = part.mean.sum(axis=2), part.variance.sum(axis=2), part.together.sum(axis=2)
    square = (together**2).sum(axis=2)
    value = risk(forecast, mean, variance, square)
    busiest = value.argmax(axis=1)
    top = value[row, busiest]
    # Of the busiest device: [layer, slot i]; of all: [layer, device, slot j].
    own = part.mean[row, busiest], part.variance[row, busiest], part.together[row, busiest]
    flat = part.together.reshape(layers, devices * slots, -1)
    cross = (own[2] @ flat.transpose(0, 2, 1)).reshape(layers, slots, devices, slots)  # f_i . f_j
    sizes = (part.together**2).sum(axis=3)  # |f_j|^2
    apart = sizes[row, busiest][:, :, None, None] + sizes[:, None] - 2 * cross
    busy_with = together[row, busiest]
    at_busy = (flat @ busy_with[:, :, None]).reshape(layers, devices, slots)[:, None] - (
        own[2] @ busy_with[:, :, None]
    )[:, :, :, None]
    at_other = np.einsum("ldk,ldsk->lds", together, part.together)[:, None] - (
        own[2] @ together.transpose(0, 2, 1)
    )[..., None]
    more = part.mean[:, None] - own[0][:, :, None, None]
    noisy = part.variance[:, None] - own[1][:, :, None, None]
    here = risk(forecast, mean[row, busiest][:, None, None, None] + more,
                variance[row, busiest][:, None, None, None] + noisy,
                square[row, busiest][:, None, None, None] + 2 * at_busy + apart)
    there = risk(forecast, mean[:, None, :, None] - more, variance[:, None, :, None] - noisy,
                 square[:, None, :, None] - 2 * at_other + apart)
    scale = top[:, None, None, None]
    cost = (here / scale) ** POWER + (there / scale) ** POWER - ((value / top[:, None]) ** POWER)[:, None, :, None]
    experts = rows[row, busiest]
    holds = (rows[:, :, None, :] == experts[:, None, :, None]).any(axis=3)  # [layer, device, slot i]
    held = (rows[:, :, :, None] == experts[:, None, None, :]).any(axis=3)  # [layer, device, slot j]
    cost[np.broadcast_to(holds.transpose(0, 2, 1)[..., None], cost.shape)] = np.inf
    cost[np.broadcast_to(held[:, None], cost.shape)] = np.inf
    best = cost.reshape(layers, -1).argmin(axis=1)
    i, device, j = np.unravel_index(best, cost.shape[1:])
    total = ((value / top[:, None]) ** POWER).sum(axis=1)
    after = np.maximum(total - 1 + cost.reshape(layers, -1)[row, best], 1e-300)
    gain = top * devices * (total ** (1 / POWER) - after ** (1 / POWER))
    made = np.flatnonzero(np.isfinite(gain) & (gain > least))
    at = going[made]
    b, d, s, o = busiest[made], device[made], i[made], j[made]
    table[at, b, s], table[at, d, o] = rows[made, d, o], rows[made, b, s]
    return made
