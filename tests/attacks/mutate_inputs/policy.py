"""Changes what it is given in place: hotness, deployment, the case."""

import honest


class Policy:
    def __init__(self, case):
        self.sizes = case.devices, case.redundant_experts
        case.initial_deployment[:] = 0
        for name, value in (("iterations", 4), ("window", 1), ("latency", 0), ("expert_bytes", 0), ("slots", 99)):
            object.__setattr__(case, name, value)
        print("mutated")

    def rebalance(self, hotness, deployment, iteration):
        _, layers, table, _ = honest.rebalance(hotness, *self.sizes)
        hotness[:] = 1
        deployment[:] = table
        return layers, table
