"""DS-EPLB, hierarchical: groups of experts are packed to nodes first, then each node is balanced by itself.

Source: DeepSeek's EPLB (deepseek-ai/EPLB, `rebalance_experts_hierarchical`); the algorithm is `placement.ds_eplb`.
When to use: a model whose router picks groups of experts, on few nodes. The experts of a token then lie on few nodes,
which modeled seconds do not reward: here the policy shows what that costs in PAR.
Measured: composite_score 97.7620 on the sample grid, whose traces are generated.

Decided here: a case with groups or nodes is planned with its own. A case of one group on one node, as in the grids
that ship, is planned as if 8 neighbouring devices were a node and the experts lay in 8 groups, as DeepSeek-V3's do.
Qwen3's do not, but a policy does not know the model. Where nodes do not divide the groups, or groups the experts, the
plan is global, as in DeepSeek's code: at ep 128 and 256, of 16 and 32 nodes, it is the baseline's.
An expert may lie twice on a device, as in the original.
"""

from placement.ds_eplb import ds_eplb

DEVICES_OF_NODE, GROUPS = 8, 8


class Policy:
    """DS-EPLB after every window, all layers in order."""

    def __init__(self, case):
        self.case = case
        self.groups, self.nodes = hierarchy(case)

    def rebalance(self, hotness, deployment, iteration):
        """Plan every layer from the window's sums."""
        case = self.case
        table = ds_eplb(hotness.sum(axis=0), case.devices, case.redundant_experts, self.groups, self.nodes)
        return range(case.layers), table


def hierarchy(case):
    """Groups and nodes to plan a case with: its own, else those above where they divide evenly, else 1 and 1."""
    if (case.groups, case.nodes) != (1, 1):
        return case.groups, case.nodes
    nodes = case.devices // DEVICES_OF_NODE
    if nodes < 1 or case.devices % DEVICES_OF_NODE or GROUPS % nodes or case.experts % GROUPS:
        return 1, 1
    return GROUPS, nodes
