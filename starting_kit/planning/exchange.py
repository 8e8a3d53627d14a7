"""Exchanges: an expert of the device that risks most against one of another device, as long as that helps.

Measured on loads that do not change (lognormal, 256 experts, 64 devices, 20 layers), from DS-EPLB's table: PAR falls
from 1.031 to 1.0015 in 7 ms a layer for sigma 0.5, from 1.018 to 1.0024 in 6 ms for sigma 1, with `least` 1e-6. With
1e-4 it stops at 1.014 and 1.013 after 3 and 1 ms: forecasts do not know their loads any better.
"""

from __future__ import annotations

import numpy as np

from .risk import POWER, Devices, Forecast, of_slots, risk


def exchange(forecast: Forecast, table: np.ndarray, steps: int, least: np.ndarray | float = 1e-4) -> np.ndarray:
    """A better table, int64 [layer, device, slot]: at most `steps` exchanges in a layer, each the best there is.

    least: by how much an exchange must lower the layer's objective (risk.py), a number or [layer]. Every device keeps
    its number of experts and comes to hold none twice. The objective of no layer rises.
    """
    table = np.array(table, np.int64)
    going = np.arange(len(table))
    least = np.broadcast_to(least, len(table))
    # No exchange changes an expert's number of replicas, so what a slot carries goes along with its expert.
    slots = of_slots(forecast, table)
    for _ in range(steps):
        if not len(going):
            break
        going = going[_exchange_once(forecast, table, slots, going, least[going])]
    return table


def _exchange_once(
    forecast: Forecast, table: np.ndarray, all_slots: Devices, going: np.ndarray, least: np.ndarray
) -> np.ndarray:
    """Make the best exchange in each layer of `going` where one gains enough, in place; says in which one was made."""
    rows = table[going]
    layers, devices, _ = rows.shape
    row = np.arange(layers)
    slots = Devices(all_slots.mean[going], all_slots.variance[going], all_slots.together[going])
    carried = Devices(slots.mean.sum(axis=2), slots.variance.sum(axis=2), slots.together.sum(axis=2))
    value = carried.risk(forecast)
    busiest = value.argmax(axis=1)
    here, there = _risks_after(forecast, slots, carried, busiest)
    # All in units of the largest risk, whose powers then hold in a float.
    top = value[row, busiest]
    powers = (value / top[:, None]) ** POWER
    scale = top[:, None, None, None]
    cost = (here / scale) ** POWER + (there / scale) ** POWER - powers[:, None, :, None]
    mine = rows[row, busiest]
    other_holds_mine = (rows[:, :, :, None] == mine[:, None, None, :]).any(axis=2)  # [layer, device, own slot]
    is_mine = (rows[:, :, :, None] == mine[:, None, None, :]).any(axis=3)  # [layer, device, slot]
    cost[np.broadcast_to(other_holds_mine.transpose(0, 2, 1)[..., None] | is_mine[:, None], cost.shape)] = np.inf
    best = cost.reshape(layers, -1).argmin(axis=1)
    slot, device, its_slot = np.unravel_index(best, cost.shape[1:])
    before = powers.sum(axis=1)
    after = np.maximum(before - 1 + cost.reshape(layers, -1)[row, best], np.finfo(float).tiny)
    gain = top * devices * (before ** (1 / POWER) - after ** (1 / POWER))
    made = np.flatnonzero(np.isfinite(after) & (gain > least))
    one = going[made], busiest[made], slot[made]
    other = going[made], device[made], its_slot[made]
    for part in (table, all_slots.mean, all_slots.variance, all_slots.together):
        part[one], part[other] = part[other], part[one]
    return made


def _risks_after(
    forecast: Forecast, slots: Devices, carried: Devices, busiest: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Risks of the busiest device and of the other one after each exchange: [layer, own slot, device, its slot].

    With f the loadings of a slot and F those of a device, |F + f_j - f_i|^2 is multiplied out, so that the components
    are summed once for each pair of slots, and not for each exchange.
    """
    layers, devices, count = slots.mean.shape
    row = np.arange(layers)
    mean, variance, f = (part[row, busiest] for part in (slots.mean, slots.variance, slots.together))
    flat = slots.together.reshape(layers, devices * count, -1)
    pairs = (f @ flat.transpose(0, 2, 1)).reshape(layers, count, devices, count)
    sizes = (slots.together**2).sum(axis=3)
    between = sizes[row, busiest][:, :, None, None] + sizes[:, None] - 2 * pairs  # |f_j - f_i|^2
    at = carried.together[row, busiest][:, :, None]
    along_here = (flat @ at).reshape(layers, 1, devices, count) - (f @ at)[..., None]
    along_there = np.einsum("ldk,ldsk->lds", carried.together, slots.together)[:, None]
    along_there = along_there - (f @ carried.together.transpose(0, 2, 1))[..., None]
    more = slots.mean[:, None] - mean[:, :, None, None]
    noisier = slots.variance[:, None] - variance[:, :, None, None]
    square = (carried.together**2).sum(axis=2)

    def one(of_device: np.ndarray) -> np.ndarray:
        return of_device[row, busiest][:, None, None, None]

    def other(of_device: np.ndarray) -> np.ndarray:
        return of_device[:, None, :, None]

    here = risk(
        forecast, one(carried.mean) + more, one(carried.variance) + noisier, one(square) + 2 * along_here + between
    )
    there = risk(
        forecast,
        other(carried.mean) - more,
        other(carried.variance) - noisier,
        other(square) - 2 * along_there + between,
    )
    return here, there
