"""A policy of vllm-ascend's as a policy here: EplbPolicy.rebalance_experts, of vllm-ascend 0.23.

Its arguments are current_expert_table [layer, rank, slot] and expert_workload, the tokens of every slot, of the same
shape; it returns whether the table changes, the layers in order, and the table. In a policy.py:

    from adapters.vllm_ascend import policy_of
    from balancer import MyEplb

    Policy = policy_of(MyEplb().rebalance_experts)

FlashLB takes the window in stages: `policy_of(FlashLB().rebalance_experts, stages=64)`.
Two differences from that engine: here the initial deployment may hold an expert twice on a device, and the layers that
the balancer does not list stay as they are, where vllm-ascend takes the whole table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from placement.policy_types import Answer, Case

from .balancers import check_balancer
from .maps import NOTHING, loads_of_slots
from .tensors import array_of, handed_over


def policy_of(rebalance_experts: Callable[..., Any], stages: int | None = None) -> type:
    """The class Policy of a balancer: it redeploys the layers that the balancer lists, where the table changes.

    stages: into how many parts of equal length, or nearly, the window is summed, at most one for each iteration; the
    workload is then [stage, layer, rank, slot]. An expert's tokens are divided evenly over its slots, in whole tokens.
    The balancer gets tensors, int64, where it has imported torch. Raises TypeError where it cannot be called, and
    ValueError for stages below 1.
    """
    check_balancer(rebalance_experts)
    if stages is not None and stages < 1:
        raise ValueError(f"stages must be at least 1, got {stages}")

    class Policy:
        def __init__(self, case: Case) -> None:
            self.case = case

        def rebalance(self, hotness: np.ndarray, deployment: np.ndarray, iteration: int) -> Answer:
            parts = np.array_split(hotness, min(stages or 1, len(hotness)))
            loads = np.stack([part.sum(axis=0, dtype=np.int64) for part in parts])
            workload = loads_of_slots(loads, deployment.reshape(self.case.layers, -1))
            workload = workload.reshape(len(parts), *deployment.shape)
            table, load = handed_over(deployment), handed_over(workload[0] if stages is None else workload)
            given = rebalance_experts(table, load)
            if given is None:
                raise ValueError(NOTHING)
            change, priority, answer = given
            return (array_of(priority), array_of(answer)) if change else None

    return Policy
