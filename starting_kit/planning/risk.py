"""The risk of a device: its mean load, and how far iterations rise above it.

    risk = sum s m + sqrt(noise^2 * sum s^2 v + drift^2 * sum_k (sum s F_k)^2)

over a device's slots, s = 1 / replicas of the slot's expert; m mean shares, v variances of single iterations, F loadings
of what experts do together. The objective of a layer is the POWER-norm of its devices' risks times their number: near
the PAR of an iteration, and smooth.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

POWER = 32


@dataclass(frozen=True)
class Forecast:
    """load, variance: [layer, expert]; loadings: [component, layer, expert]; noise, drift: weights of the risk."""

    load: np.ndarray
    variance: np.ndarray
    loadings: np.ndarray
    noise: float
    drift: float

    def of_layers(self, layers: np.ndarray) -> Forecast:
        """The forecast of some layers."""
        parts = self.load[layers], self.variance[layers], self.loadings[:, layers]
        return Forecast(*parts, self.noise, self.drift)

    def weights(self, part: float = 0.5) -> np.ndarray:
        """What an expert alone would risk, `part` of what is beyond its mean: [layer, expert]."""
        beyond = self.noise**2 * self.variance + self.drift**2 * (self.loadings**2).sum(axis=0)
        return self.load + part * np.sqrt(beyond)


def expected_maximum(count: int) -> float:
    """About the mean of the largest of `count` draws of N(0, 1) (Blom's approximation)."""
    return NormalDist().inv_cdf((count - 0.375) / (count + 0.25)) if count > 1 else 0.0


@dataclass
class Devices:
    """What the devices of some layers carry: mean, variance [layer, device], together [layer, device, component]."""

    mean: np.ndarray
    variance: np.ndarray
    together: np.ndarray

    def risk(self, forecast: Forecast) -> np.ndarray:
        """[layer, device]."""
        return risk(forecast, self.mean, self.variance, (self.together**2).sum(axis=-1))


def risk(forecast: Forecast, mean: np.ndarray, variance: np.ndarray, together: np.ndarray) -> np.ndarray:
    """The formula above; together: the sum over components. Any shape."""
    beyond = forecast.noise**2 * variance + forecast.drift**2 * together
    return mean + np.sqrt(np.maximum(beyond, 0))


def of_slots(forecast: Forecast, table: np.ndarray) -> Devices:
    """Each slot's part: as Devices, with a further axis of slots before the components."""
    layers, _, experts = len(table), None, forecast.load.shape[1]
    row = np.arange(layers)[:, None, None]
    replicas = np.zeros((layers, experts))
    np.add.at(replicas, (row, table), 1)
    part = 1 / replicas[row, table]
    together = np.moveaxis(forecast.loadings, 0, -1)[row, table] * part[..., None]
    return Devices(forecast.load[row, table] * part, forecast.variance[row, table] * part**2, together)


def of_devices(forecast: Forecast, table: np.ndarray) -> Devices:
    """What each device of a deployment table [layer, device, slot] carries."""
    slots = of_slots(forecast, table)
    return Devices(slots.mean.sum(axis=2), slots.variance.sum(axis=2), slots.together.sum(axis=2))


def objective(forecast: Forecast, table: np.ndarray) -> np.ndarray:
    """The objective of each layer: float64 [layer]."""
    value = of_devices(forecast, table).risk(forecast)
    largest = value.max(axis=1, keepdims=True)
    return (largest[:, 0] * ((value / largest) ** POWER).sum(axis=1) ** (1 / POWER)) * table.shape[1]
