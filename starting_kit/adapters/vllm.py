"""A policy of vLLM's as a policy here: AbstractEplbPolicy.rebalance_experts, of vLLM 0.33.

Its arguments are weight, num_replicas, num_groups, num_nodes, num_ranks and old_global_expert_indices, the live map;
it returns physical_to_logical_map [layer, slot]. Earlier versions return three maps, of which the first is read. In a
policy.py:

    from adapters.vllm import policy_of
    from balancer import MyEplbPolicy

    Policy = policy_of(MyEplbPolicy.rebalance_experts)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from placement.policy_types import Answer, Case

from .balancers import check_balancer
from .maps import table_of
from .tensors import handed_over


def policy_of(rebalance_experts: Callable[..., Any], **options: Any) -> type:
    """The class Policy of a balancer: redeploys all layers, in order, after every window.

    options: arguments passed to the balancer by name. The balancer gets the window's sums, int64 [layer, expert], and
    the live map, int64 [layer, slot], as tensors where it has imported torch. Raises TypeError where the balancer
    cannot be called.
    """
    check_balancer(rebalance_experts)

    class Policy:
        def __init__(self, case: Case) -> None:
            self.case = case

        def rebalance(self, hotness: np.ndarray, deployment: np.ndarray, iteration: int) -> Answer:
            case = self.case
            weight = handed_over(hotness.sum(axis=0, dtype=np.int64))
            live = handed_over(deployment.reshape(case.layers, -1))
            sizes = (case.experts + case.redundant_experts, case.groups, case.nodes, case.devices)
            answer = rebalance_experts(weight, *sizes, live, **options)
            return range(case.layers), table_of(answer[0] if isinstance(answer, tuple) else answer, case)

    return Policy
