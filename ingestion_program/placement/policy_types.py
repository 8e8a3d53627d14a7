"""The types of the policy's interface, for annotations in a policy.py and for editors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

# Integers as an array or as lists; a range is a list here.
Integers = Sequence[Any] | np.ndarray
# What `rebalance` returns: None to keep the deployment, or the layers in order and a table [layer, device, slot].
Answer = tuple[Integers, Integers] | None


class Case(Protocol):
    """The argument of `Policy.__init__`: the case's sizes and prices, to read only."""

    @property
    def layers(self) -> int: ...
    @property
    def experts(self) -> int: ...
    @property
    def devices(self) -> int: ...
    @property
    def redundant_experts(self) -> int: ...
    @property
    def slots(self) -> int: ...
    @property
    def window(self) -> int: ...
    @property
    def iterations(self) -> int: ...
    @property
    def latency(self) -> int: ...
    @property
    def initial_deployment(self) -> np.ndarray: ...
    @property
    def groups(self) -> int: ...
    @property
    def nodes(self) -> int: ...
    @property
    def balanced_compute_seconds(self) -> float: ...
    @property
    def expert_bytes(self) -> int: ...
    @property
    def bandwidth_bytes_per_second(self) -> float: ...


class Policy(Protocol):
    """The class form of a policy: made once for a case, then called after every window."""

    def __init__(self, case: Case, /) -> None: ...

    def rebalance(self, hotness: np.ndarray, deployment: np.ndarray, iteration: int, /) -> Answer:
        """Hotness: int32 [window, layer, expert]; deployment: int64 [layer, device, slot]; iteration: from 1."""
        ...
