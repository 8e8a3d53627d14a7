"""The imbalance model's measured twin: skew, fit, bound and layer time of hotness on a deployment table.

Information for who plans capacity, never a score. hotness: numbers [iteration, layer, expert], of which only shares
count and 0 is 0 (the score counts it as 1); table: integers [layer, device, slot] -> expert, -1 where a slot is empty.
An expert's replicas share its load evenly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from placement.balance import par
from placement.deployment import initial_deployment, replica_counts
from placement.ds_eplb import ds_eplb

from .presets import CHIP, Chip, MoeModel

if TYPE_CHECKING:
    import pandas as pd

# Quotients that are whole may come out a rounding above; they must not be taken for one more.
ROUNDING = 1e-12


class Fit(NamedTuple):
    """The imbalance that describes loads best: factor float64, hot experts int64, one of each per load."""

    factor: np.ndarray
    hot: np.ndarray


@dataclass(frozen=True, eq=False)
class Estimate:
    """Skew, and ns of a layer's experts: float64 [iteration, layer] each."""

    skew: np.ndarray
    compute: np.ndarray
    dispatch: np.ndarray
    combine: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """Compute, dispatch and combine, one after the other."""
        return self.compute + self.dispatch + self.combine


def measured_skew(hotness: np.ndarray, table: np.ndarray) -> np.ndarray:
    """PAR, the largest device load by the mean one: float64 [iteration, layer].

    Raises ValueError for hotness without load, and for a table of other layers or experts or without one of these.
    """
    _check_hotness(hotness)
    _check_table(hotness, table)
    iterations, layers, _ = hotness.shape
    result = np.empty((iterations, layers))
    for layer, rows in enumerate(table):
        # An empty slot holds one expert more, which has no load.
        load = np.vstack([hotness[:, layer].T, np.zeros((1, iterations))])
        result[:, layer] = par(load, load.sum(axis=0), np.where(rows < 0, len(load) - 1, rows))
    return result


def upper_bound(hotness: np.ndarray, devices: int, slots: int | None = None) -> np.ndarray:
    """What no table's skew exceeds: devices * share of the hottest experts, one per slot: float64 [iteration, layer].

    slots: of each device; by default ceil(experts / devices), where every expert has one replica. Further replicas only
    lower a device's load, so that this bounds any table without more slots. Raises ValueError.
    """
    _check_hotness(hotness)
    slots = -(-hotness.shape[2] // devices) if slots is None else slots
    hottest = np.sort(hotness, axis=2)[:, :, ::-1][:, :, :slots]
    return devices * hottest.sum(axis=2, dtype=np.float64) / hotness.sum(axis=2, dtype=np.float64)


def fit(load: np.ndarray, active_experts: int) -> Fit:
    """The factor and the number of hot experts that describe loads best, by least squares over experts.

    load: numbers [..., expert]; active_experts: the largest number of hot ones. The W hottest are the hot ones, their
    factor their mean by the mean of all, at most experts / active_experts; of several equally good W the least.
    Returns arrays [...]. Raises ValueError for loads without load.
    """
    load = np.asarray(load, np.float64)
    experts = load.shape[-1]
    if not np.isfinite(load).all() or (load < 0).any() or (load.sum(axis=-1) <= 0).any():
        raise ValueError("a load is negative, not finite or 0 in sum; expected tokens of each expert")
    if not 1 <= active_experts <= experts:
        raise ValueError(f"active_experts is {active_experts}; expected 1 .. {experts}, the experts of the load")
    ordered = np.sort(load, axis=-1)[..., ::-1] / load.mean(axis=-1, keepdims=True)
    hot = np.arange(1, active_experts + 1)
    sums, squares = ordered.cumsum(axis=-1), (ordered**2).sum(axis=-1, keepdims=True)
    top = sums[..., :active_experts]
    factor = np.clip(top / hot, 1, experts / active_experts)
    rest = (experts - hot * factor) / np.maximum(1, experts - hot)
    errors = squares - 2 * (factor * top + rest * (experts - top)) + hot * factor**2 + (experts - hot) * rest**2
    # Equal but for rounding: the least.
    best = (errors <= errors.min(axis=-1, keepdims=True) + ROUNDING * squares).argmax(axis=-1)
    return Fit(np.take_along_axis(factor, best[..., None], axis=-1)[..., 0], hot[best])


def estimate(hotness: np.ndarray, table: np.ndarray, model: MoeModel, tokens: int, chip: Chip = CHIP) -> Estimate:
    """Time a layer's experts for so many tokens that choose as the hotness says. Raises ValueError.

    The worst device's compute counts every replica that has a token, its tokens rounded up; the exchange is that of the
    closed form (lab.imbalance.presets.layer_time) with the measured skew.
    """
    skew = measured_skew(hotness, table)
    shares = _shares(hotness, model, tokens)
    operations, reading = float(model.token_flops / chip.flops), float(model.expert_bytes / chip.memory)
    compute = np.empty(skew.shape)
    for layer, rows in enumerate(table):
        replicas = replica_counts(rows[rows >= 0], hotness.shape[2])
        tokens_each = np.ceil(shares[:, layer] / replicas * (1 - ROUNDING))
        times = np.where(tokens_each > 0, np.maximum(tokens_each * operations, reading), 0)
        # As above, an expert more for empty slots.
        times = np.hstack([times, np.zeros((len(times), 1))])
        compute[:, layer] = np.max([times[:, experts].sum(axis=1) for experts in rows], axis=0)
    exchange = _exchange(skew, table.shape[1], model, tokens, chip)
    return Estimate(skew, compute, exchange, exchange)


def ideal(hotness: np.ndarray, devices: int, model: MoeModel, tokens: int, chip: Chip = CHIP) -> Estimate:
    """What no table is faster than: operations, and experts that are read, even over devices, and no skew."""
    _check_hotness(hotness)
    shares = _shares(hotness, model, tokens)
    operations = shares.sum(axis=2) * float(model.token_flops / chip.flops) / devices
    reading = np.ceil(np.count_nonzero(shares, axis=2) / devices) * float(model.expert_bytes / chip.memory)
    skew = np.ones(operations.shape)
    exchange = _exchange(skew, devices, model, tokens, chip)
    return Estimate(skew, np.maximum(operations, reading), exchange, exchange)


def layer_frame(
    hotness: np.ndarray,
    model: MoeModel,
    devices: Sequence[int],
    tokens: int,
    policy: Mapping[int, np.ndarray] | None = None,
    chip: Chip = CHIP,
) -> pd.DataFrame:
    """Per layer and ep: skew and time of the initial deployment, a policy's table, DS-EPLB and the ideal.

    Information, not score. devices: the eps; policy: tables by ep, where there is one. DS-EPLB plans the second half of
    the iterations from the first, with a redundant expert per device, and all are measured on the second half; a single
    iteration is both. Columns: means over iterations of par and of microseconds; of the layer's load the fitted factor
    and hot experts, the closed form's skew of these, and the mean upper bound for the table's slots (ideal: none).
    Raises ValueError for hotness of another model, for devices that do not divide the experts, and as the parts do.
    """
    import pandas as pd

    _check_hotness(hotness)
    half = len(hotness) // 2
    past, coming = (hotness[:half], hotness[half:]) if half else (hotness, hotness)
    layers, experts = hotness.shape[1:]
    fitted = fit(coming.sum(axis=0, dtype=np.float64), model.active_experts)
    rows = []
    for ep in devices:
        if not 1 <= ep <= experts or experts % ep:
            raise ValueError(f"ep is {ep}; expected a divisor of the {experts} experts, for the initial deployment")
        tables = {"initial": initial_deployment(layers, experts, ep)}
        if policy and ep in policy:
            tables["policy"] = policy[ep]
            if policy[ep].shape[1:2] != (ep,):
                raise ValueError(
                    f"the policy's table for ep {ep} has the shape {list(policy[ep].shape)}; expected [layer, {ep}, "
                    "slot]"
                )
        tables["DS-EPLB"] = ds_eplb(past.sum(axis=0, dtype=np.float64), ep, ep)
        closed = [float(model.imbalance(ep, *pair).skew) for pair in zip(*map(np.ndarray.tolist, fitted), strict=True)]
        results = {name: estimate(coming, table, model, tokens, chip) for name, table in tables.items()}
        bounds = {name: upper_bound(coming, ep, table.shape[2]).mean(axis=0) for name, table in tables.items()}
        results["ideal"] = ideal(coming, ep, model, tokens, chip)
        for name, result in results.items():
            parts = {
                f"{part}_us": getattr(result, part).mean(axis=0) / 1e3 for part in ("compute", "dispatch", "combine")
            }
            columns = {"layer": np.arange(layers), "ep": ep, "placement": name, "par": result.skew.mean(axis=0)}
            describing = {"factor": fitted.factor, "hot": fitted.hot, "closed_form": closed}
            columns |= describing | {"bound": bounds.get(name, np.nan)} | parts
            rows.append(pd.DataFrame({**columns, "layer_us": result.total.mean(axis=0) / 1e3}))
    return pd.concat(rows, ignore_index=True)


def prefill_frame(frame: pd.DataFrame, model: MoeModel) -> pd.DataFrame:
    """The experts' part of the time to first token, by ep and placement, from the frame of layer_frame.

    Information, not score. prefill_ms: the mean layer, times the model's layers; added_ms: what the ideal has not;
    times_ideal: by the ideal's.
    """
    mean = frame.groupby(["ep", "placement"], sort=False).layer_us.mean().rename("prefill_ms") * model.layers / 1e3
    result = mean.reset_index()
    least = result.ep.map(mean.xs("ideal", level="placement"))
    return result.assign(added_ms=result.prefill_ms - least, times_ideal=result.prefill_ms / least)


def _shares(hotness: np.ndarray, model: MoeModel, tokens: int) -> np.ndarray:
    """Tokens of each expert: float64 [iteration, layer, expert]."""
    if hotness.shape[2] != model.experts:
        raise ValueError(f"the hotness is of {hotness.shape[2]} experts; expected the {model.experts} of {model.name}")
    if tokens < 1:
        raise ValueError(f"tokens is {tokens}; expected at least 1")
    return hotness * (tokens * model.active_experts / hotness.sum(axis=2, keepdims=True, dtype=np.float64))


def _exchange(skew: np.ndarray, devices: int, model: MoeModel, tokens: int, chip: Chip) -> np.ndarray:
    if devices == 1:
        return np.zeros(skew.shape)
    time = np.ceil(skew * (model.exchange_bytes(tokens) / float(chip.bandwidth(devices))) * (1 - ROUNDING))
    return np.maximum(time, float(chip.latency * (devices - 1)))


def _check_hotness(hotness: np.ndarray) -> None:
    if hotness.ndim != 3 or 0 in hotness.shape or hotness.dtype.kind not in "iuf":
        raise ValueError(
            f"the hotness has the shape {list(hotness.shape)} of {hotness.dtype}; expected numbers [iteration, layer, "
            "expert]"
        )
    if not np.isfinite(hotness).all() or hotness.min() < 0 or not hotness.any(axis=2).all():
        raise ValueError("the hotness is negative, not finite, or 0 for a whole layer; expected tokens of each expert")


def _check_table(hotness: np.ndarray, table: np.ndarray) -> None:
    _, layers, experts = hotness.shape
    if table.ndim != 3 or len(table) != layers or 0 in table.shape or table.dtype.kind not in "iu":
        raise ValueError(
            f"the table has the shape {list(table.shape)} of {table.dtype}; expected integers [layer, device, slot] of "
            f"{layers} layers"
        )
    if table.min() < -1 or table.max() >= experts:
        raise ValueError(f"the table holds {table.min()} .. {table.max()}; expected experts 0 .. {experts - 1}, or -1")
    for layer, rows in enumerate(table):
        missing = np.setdiff1d(np.arange(experts), rows)
        if len(missing):
            raise ValueError(f"experts {missing.tolist()} have no slot in layer {layer} of the table")
