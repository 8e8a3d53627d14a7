"""What expert load imbalance costs a layer, in closed form: W hot experts, all on one device, the others even.

Formulas of NeuSim's expert-load-imbalance model (pull request at 8c9ef0e5), in exact fractions; shared experts take no
part. The receiver skew is the PAR of that load. Of a real trace it is no bound: see lab.imbalance.twin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral, Rational, Real
from typing import NamedTuple

WORST = -1.0
# ns of one message between two devices.
LATENCY = 3330


class Block(NamedTuple):
    """So many experts, each with so many tokens: how often and how long a matrix product is."""

    experts: int
    tokens: int


@dataclass(frozen=True)
class ExpertImbalance:
    """A layer's experts over devices, of which some are hot.

    experts: routed ones, E; active_experts: per token, K; expert_parallel: devices; imbalance_factor: tokens of a hot
    expert by the mean ones, 1 .. E / K, or -1 for E / K, the most there is since every token then goes to it;
    worst_case_experts: how many are hot, 1 .. K. A factor is taken as the fraction that it exactly is, but for the
    float nearest to E / K, which is E / K. Raises ValueError, before anything is divided.

    Devices beyond one per expert hold none and take no part: results are those of min(devices, E), see `groups`.
    Unless the devices divide E, the fullest holds more than its part, and its skew is above 1 even at factor 1.
    """

    experts: int
    active_experts: int
    expert_parallel: int
    imbalance_factor: float | Fraction = WORST
    worst_case_experts: int = 1

    def __post_init__(self) -> None:
        for name in ("experts", "active_experts", "expert_parallel", "worst_case_experts"):
            _check(_is_integer(getattr(self, name)), f"{name} is {getattr(self, name)!r}; expected an integer")
            # numpy's integers would overflow in fractions.
            object.__setattr__(self, name, int(getattr(self, name)))
        experts, active, factor = self.experts, self.active_experts, self.imbalance_factor
        _check(
            experts > 0 and active > 0,
            f"experts is {experts} and active_experts is {active}; expected both above 0",
        )
        _check(
            active <= experts,
            f"active_experts is {active}, but there are {experts} experts; expected at most all of them",
        )
        _check(
            isinstance(factor, Real) and not isinstance(factor, bool),
            f"imbalance_factor is {factor!r}; expected a number",
        )
        if not isinstance(factor, float | int | Fraction):
            factor = Fraction(factor) if isinstance(factor, Rational) else float(factor)
            object.__setattr__(self, "imbalance_factor", factor)
        # NaN is in no range.
        most = Fraction(experts, active)
        _check(
            factor in (WORST, float(most)) or 1 <= factor <= most,
            f"imbalance_factor is {factor}; expected 1 .. experts / active_experts = {most}, or -1 for the most",
        )
        _check(
            1 <= self.worst_case_experts <= active,
            f"worst_case_experts is {self.worst_case_experts}; expected 1 .. active_experts = {active}",
        )
        _check(self.expert_parallel >= 1, f"expert_parallel is {self.expert_parallel}; expected at least 1 device")

    @property
    def factor(self) -> Fraction:
        """Tokens of a hot expert by those of the mean one."""
        most = Fraction(self.experts, self.active_experts)
        return most if self.imbalance_factor in (WORST, float(most)) else Fraction(self.imbalance_factor)

    @property
    def groups(self) -> int:
        """Devices that hold experts: min(devices, E)."""
        return min(self.expert_parallel, self.experts)

    @property
    def worst_device_experts(self) -> int:
        """Experts on the fullest device: ceil(E / groups)."""
        return -(-self.experts // self.groups)

    @property
    def worst_device_hot(self) -> int:
        """Hot experts on the worst device: all that it has room for."""
        return min(self.worst_case_experts, self.worst_device_experts)

    @property
    def skew(self) -> Fraction:
        """What the worst device receives in dispatch, and sends in combine, by the mean: whatever the tokens are.

        (groups / E) (w f + (n - w) (E - W f) / (E - W)), with n experts and w hot ones on the worst device.
        """
        experts, hot = self.worst_device_experts, self.worst_device_hot
        # The load of a device, in tokens of the mean expert.
        device = hot * self.factor + (experts - hot) * self._remaining_factor
        return device * self.groups / self.experts

    @property
    def _remaining_factor(self) -> Fraction:
        hot = self.worst_case_experts
        return (self.experts - hot * self.factor) / max(1, self.experts - hot)

    def hot_load(self, tokens: int) -> Fraction:
        """Tokens of a hot expert, never rounded, when so many are dispatched together: f tokens K / E."""
        return self.factor * self._mean_load(tokens)

    def remaining_load(self, tokens: int) -> Fraction:
        """Tokens of an expert that is not hot, never rounded: (tokens K - W hot load) / (E - W)."""
        return self._remaining_factor * self._mean_load(tokens)

    def effective_tokens(self, tokens: int) -> int:
        """Length of a hot expert's matrix product: its load, rounded up, at least 1."""
        return max(1, math.ceil(self.hot_load(tokens)))

    def compute_blocks(self, tokens: int) -> tuple[Block, Block]:
        """The worst device's matrix products, those of hot experts and the remaining ones; these may be Block(0, 0).

        Where the others have less than a token each, their tokens go to as many experts as there are tokens, rounded
        up, so that few tokens touch few experts. Rounded up, blocks may hold up to a token per expert too many.
        """
        hot = Block(self.worst_device_hot, self.effective_tokens(tokens))
        others, load = self.worst_device_experts - hot.experts, self.remaining_load(tokens)
        if not others or not load:
            return hot, Block(0, 0)
        if load >= 1:
            return hot, Block(others, math.ceil(load))
        return hot, Block(math.ceil(others * load), 1)

    def all_to_all_ns(self, size: int, bandwidth: float | Fraction, latency: float | Fraction = LATENCY) -> int:
        """Time of dispatch, or of combine: max(ceil(skew size / bandwidth), latency (groups - 1)), rounded up.

        size: bytes of all tokens; bandwidth: the network's, GB/s, that is bytes per ns; latency: ns. 0 on one device.
        Raises ValueError for a size or latency below 0 and for a bandwidth that is not above 0.
        """
        _check(
            size >= 0 and bandwidth > 0 and latency >= 0,
            f"size is {size}, bandwidth {bandwidth}, latency {latency}; expected a bandwidth above 0, others from 0",
        )
        if self.groups == 1:
            return 0
        return max(math.ceil(self.skew * size / Fraction(bandwidth)), math.ceil(Fraction(latency) * (self.groups - 1)))

    def _mean_load(self, tokens: int) -> Fraction:
        _check(_is_integer(tokens) and tokens >= 1, f"tokens is {tokens!r}; expected an integer from 1")
        return Fraction(int(tokens) * self.active_experts, self.experts)


def bisection_bandwidth(link: float | Fraction, dims: tuple[int, ...]) -> Fraction:
    """Bandwidth of a torus for all-to-all, as NeuSim takes it, in the link's unit.

    link * (product of dims but the largest) / chips * (dims - 1), in one dimension link / chips. Raises ValueError for
    a link that is not above 0 and dims that are none.
    """
    _check(link > 0 and dims and min(dims) >= 1, f"link is {link}, dims {dims}; expected a link above 0, dims from 1")
    return Fraction(link) / max(dims) * max(1, len(dims) - 1)


def torus_dims(devices: int, most: int = 3) -> tuple[int, ...]:
    """The torus nearest to a cube with so many devices: up to `most` dimensions, the largest first, none of 1 but (1,).

    Prime factors, the largest first, each go to the smallest dimension.
    """
    _check(devices >= 1, f"devices is {devices}; expected at least 1")
    primes, left, prime = [], devices, 2
    while left > 1:
        while left % prime == 0:
            primes.append(prime)
            left //= prime
        prime = prime + 1 if prime * prime <= left else left
    dims = [1] * most
    for factor in reversed(primes):
        dims[dims.index(min(dims))] *= factor
    return tuple(sorted((size for size in dims if size > 1), reverse=True)) or (1,)


def _is_integer(value: object) -> bool:
    """Python counts True as 1, which no size is."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _check(fine: object, wrong: str) -> None:
    if not fine:
        raise ValueError(wrong)
