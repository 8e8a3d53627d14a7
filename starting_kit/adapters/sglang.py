"""A balancer of SGLang's form as a policy: its eplb_algorithms, of SGLang 0.5.

Their arguments, by name: tokens_per_expert [step, layer, expert], with the steps of the window one by one,
num_physical_experts, num_local_physical_experts (the slots of a device), num_groups, num_nodes, and what is given as an
option here. They return DeepSeek's three tensors. In a policy.py:

    from adapters.sglang import policy_of
    from balancer import rebalance_experts

    Policy = policy_of(rebalance_experts, enable_hierarchical=False)

`eplb_algorithms.rebalance_experts` itself takes `algorithm=` in the place of `enable_hierarchical=`.
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

    options: arguments passed to the balancer by name. The balancer gets the window, int32 [step, layer, expert], as a
    tensor where it has imported torch. Raises TypeError where the balancer cannot be called.
    """
    check_balancer(rebalance_experts)

    class Policy:
        def __init__(self, case: Case) -> None:
            self.case = case

        def rebalance(self, hotness: np.ndarray, deployment: np.ndarray, iteration: int) -> Answer:
            case = self.case
            maps = rebalance_experts(
                tokens_per_expert=handed_over(hotness),
                num_physical_experts=case.experts + case.redundant_experts,
                num_local_physical_experts=case.slots,
                num_groups=case.groups,
                num_nodes=case.nodes,
                **options,
            )
            return range(case.layers), table_of(None if maps is None else maps[0], case)

    return Policy
