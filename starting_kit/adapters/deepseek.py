"""A balancer of DeepSeek's form as a policy: rebalance_experts(weight, num_replicas, num_groups, num_nodes, num_gpus).

It returns three arrays or tensors: physical_to_logical_map [layer, slot], which becomes the deployment table, and
logical_to_physical_map and expert_count, which say the same and are not read. In a policy.py:

    from adapters.deepseek import policy_of
    from balancer import rebalance_experts

    Policy = policy_of(rebalance_experts)

SGLang's copy (`sglang.srt.eplb.eplb_algorithms.deepseek`) takes one argument more, which is given by name:
`policy_of(rebalance_experts, enable_hierarchical=False)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from placement.policy_types import Answer, Case

from .balancers import check_balancer
from .maps import NOTHING, table_of
from .tensors import handed_over


def policy_of(rebalance_experts: Callable[..., Any], **options: Any) -> type:
    """The class Policy of a balancer: redeploys all layers, in order, after every window.

    options: arguments passed to the balancer by name. The balancer gets the window's sums, int64 [layer, expert], as a
    tensor where it has imported torch. Raises TypeError where the balancer cannot be called.
    """
    check_balancer(rebalance_experts)

    class Policy:
        def __init__(self, case: Case) -> None:
            self.case = case

        def rebalance(self, hotness: np.ndarray, deployment: np.ndarray, iteration: int) -> Answer:
            case = self.case
            weight = handed_over(hotness.sum(axis=0, dtype=np.int64))
            sizes = (case.experts + case.redundant_experts, case.groups, case.nodes, case.devices)
            maps = rebalance_experts(weight, *sizes, **options)
            if maps is None:
                raise ValueError(NOTHING)
            if not isinstance(maps, (tuple, list)) or len(maps) != 3:
                raise ValueError(
                    f"rebalance_experts returned {type(maps).__name__}; expected (physical_to_logical_map, "
                    "logical_to_physical_map, expert_count); for a balancer that returns only the first, use "
                    "adapters.vllm"
                )
            return range(case.layers), table_of(maps[0], case)

    return Policy
