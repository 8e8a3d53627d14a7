"""The risk of a device: its mean load, and how far single iterations rise above it.

    risk = sum s m + sqrt(noise^2 * sum s^2 v + drift^2 * sum_k (sum s F_k)^2)

over the device's slots, s = 1 / replicas of the slot's expert; m mean shares of a layer's load, v variances of single
iterations, F_k loadings: what experts do together. The objective of a layer is the POWER-norm of its devices' risks
times their number: about the PAR of an iteration, and lower with every device that is relieved.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

POWER = 32


@dataclass(frozen=True)
class Forecast:
    """What is planned for, in shares of a layer's load.

    load: mean share, [layer, expert]; variance: of single iterations' shares, [layer, expert]; loadings: [component,
    layer, expert], whose products summed over components are the shares' covariance; noise, drift: weights of the risk.
    """

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
        """An expert's mean and `part` of what it alone rises above it: [layer, expert]."""
        beyond = self.noise**2 * self.variance + self.drift**2 * (self.loadings**2).sum(axis=0)
        return self.load + part * np.sqrt(beyond)


@dataclass(frozen=True)
class Devices:
    """What devices, or slots, carry: mean, variance [layer, device, ...], together: the same, component last."""

    mean: np.ndarray
    variance: np.ndarray
    together: np.ndarray

    def risk(self, forecast: Forecast) -> np.ndarray:
        """Of the shape of `mean`."""
        return risk(forecast, self.mean, self.variance, (self.together**2).sum(axis=-1))


def risk(forecast: Forecast, mean: np.ndarray, variance: np.ndarray, together: np.ndarray) -> np.ndarray:
    """The formula above, of any shape; together: the sum of squares over components."""
    beyond = forecast.noise**2 * variance + forecast.drift**2 * together
    # Sums that were multiplied out may come out a last digit below 0.
    return mean + np.sqrt(np.maximum(beyond, 0))


def expected_maximum(count: int) -> float:
    """About the mean of the largest of `count` draws of N(0, 1) (Blom's approximation)."""
    return NormalDist().inv_cdf((count - 0.375) / (count + 0.25)) if count > 1 else 0.0


def replicas_of(table: np.ndarray, experts: int) -> np.ndarray:
    """How many slots of a deployment table int [layer, device, slot] each expert has: int64 [layer, expert]."""
    layers = len(table)
    flat = (np.arange(layers)[:, None, None] * experts + table).ravel()
    return np.bincount(flat, minlength=layers * experts).reshape(layers, experts)


def of_slots(forecast: Forecast, table: np.ndarray) -> Devices:
    """What each slot of a deployment table int [layer, device, slot] carries."""
    row = np.arange(len(table))[:, None, None]
    part = 1 / replicas_of(table, forecast.load.shape[1])[row, table]
    together = np.moveaxis(forecast.loadings, 0, -1)[row, table] * part[..., None]
    return Devices(forecast.load[row, table] * part, forecast.variance[row, table] * part**2, together)


def of_devices(forecast: Forecast, table: np.ndarray) -> Devices:
    """What each device of a deployment table [layer, device, slot] carries."""
    slots = of_slots(forecast, table)
    return Devices(slots.mean.sum(axis=2), slots.variance.sum(axis=2), slots.together.sum(axis=2))


def objective(forecast: Forecast, table: np.ndarray) -> np.ndarray:
    """The objective of each layer: float64 [layer]."""
    value = of_devices(forecast, table).risk(forecast)
    largest = value.max(axis=1)
    norm = largest * ((value / largest[:, None]) ** POWER).sum(axis=1) ** (1 / POWER)
    return norm * table.shape[1]
