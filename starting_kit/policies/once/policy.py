"""Once: DS-EPLB at the first call, then kept."""

from placement.ds_eplb import ds_eplb


class Policy:
    def __init__(self, case):
        self.case, self.called = case, False

    def rebalance(self, hotness, deployment, iteration):
        if self.called:
            return None
        self.called, case = True, self.case
        weights = hotness.sum(axis=0)
        return range(case.layers), ds_eplb(weights, case.devices, case.redundant_experts, case.groups, case.nodes)
