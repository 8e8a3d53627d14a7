"""DS-EPLB: DeepSeek's load balancer after every window, all layers in order. The baseline: it scores 100.

Source: DeepSeek's EPLB (deepseek-ai/EPLB); the algorithm is `placement.ds_eplb`, the one behind the stored results.
When to use: as what every policy is compared with, and as the first planner to put something better in the place of.
Measured: composite_score 100.0000 on the sample grid, whose traces are generated; 100 in every case, by definition.
An expert may lie twice on a device, as in the original.
"""

from placement.ds_eplb import ds_eplb


class Policy:
    """Plans in the mode that the grid asks for: with one group on one node, which is usual, in the global one."""

    def __init__(self, case):
        self.case = case

    def rebalance(self, hotness, deployment, iteration):
        """Plan every layer from the window's sums."""
        case = self.case
        weights = hotness.sum(axis=0)
        return range(case.layers), ds_eplb(weights, case.devices, case.redundant_experts, case.groups, case.nodes)
