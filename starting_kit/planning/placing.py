"""Replicas to devices by risk: each, the heaviest first, to the device that then risks least."""

from __future__ import annotations

import numpy as np

from .replication import replicas_by_load
from .risk import Forecast, risk

# More than any risk, a share of a layer's load, and more than that: where a replica stays, and where it is not wanted.
STAYS, TWICE = 10.0, 1e3


def place_by_risk(
    forecast: Forecast, devices: int, redundant: int, part: float = 0.5, live: np.ndarray | None = None
) -> np.ndarray:
    """A deployment table int64 [layer, device, slot]; no device holds an expert twice where that can be.

    Replicas by risk: for an expert's mean and `part` of what it rises above it (Forecast.weights). live: a deployment
    table [layer, device, slot]; a replica goes first to devices that hold its expert there, while they have room, and
    among them to the one that then risks least. So little moves, and exchanges make up for what is uneven.
    """
    weights = forecast.weights(part)
    layers, count = weights.shape
    slots, row = (count + redundant) // devices, np.arange(layers)
    replicas = _at_most(replicas_by_load(weights, count + redundant), devices, weights)
    experts = np.repeat(np.tile(np.arange(count), layers), replicas.ravel()).reshape(layers, -1)
    weight = np.take_along_axis(weights / replicas, experts, axis=1)
    loadings = forecast.loadings.astype(np.float32)
    mean, variance = np.zeros((2, layers, devices), np.float32)
    # Components first, as in the loadings: numpy adds up whole planes four times faster than short rows.
    together = np.zeros((len(loadings), layers, devices), np.float32)
    filled = np.zeros((layers, devices), np.int64)
    holds = np.zeros((layers, devices, count), bool)
    stays = np.zeros((layers, devices, count), bool)
    if live is not None:
        stays[row[:, None, None], np.arange(devices)[:, None], live] = True
    table = np.zeros((layers, devices, slots), np.int64)
    for replica in np.argsort(-weight, axis=1, kind="stable").T:
        expert = experts[row, replica]
        part = (1 / replicas[row, expert]).astype(np.float32)
        more = (forecast.load[row, expert] * part).astype(np.float32)
        noisy = (forecast.variance[row, expert] * part**2).astype(np.float32)
        moves = loadings[:, row, expert] * part
        after = ((together + moves[:, :, None]) ** 2).sum(axis=0)
        value = risk(forecast, mean + more[:, None], variance + noisy[:, None], after)
        value[stays[row, :, expert]] -= STAYS
        value[holds[row, :, expert]] += TWICE
        value[filled == slots] = np.inf
        device = value.argmin(axis=1)
        table[row, device, filled[row, device]] = expert
        filled[row, device] += 1
        holds[row, device, expert] = True
        mean[row, device] += more
        variance[row, device] += noisy
        together[:, row, device] += moves
    return table


def _at_most(replicas: np.ndarray, devices: int, weights: np.ndarray) -> np.ndarray:
    """Replicas [layer, expert] beyond one on each device go to the heaviest replicas of experts that have fewer."""
    while (replicas > devices).any() and (replicas < devices).any(axis=1).all():
        layer = np.flatnonzero((replicas > devices).any(axis=1))
        most = replicas[layer].argmax(axis=1)
        share = np.where(replicas[layer] < devices, weights[layer] / replicas[layer], -np.inf)
        replicas[layer, most] -= 1
        replicas[layer, share.argmax(axis=1)] += 1
    return replicas
