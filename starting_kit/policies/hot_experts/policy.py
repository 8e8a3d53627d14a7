"""Hot experts: leave every expert where it is and give the redundant slots to the hottest experts."""

import numpy as np


class Policy:
    """Moves at most one slot per device and layer, so it transmits little."""

    def __init__(self, case):
        self.case = case

    def rebalance(self, hotness, deployment, iteration):
        """Put the hottest experts' second replicas on the devices that are lightest without them."""
        case = self.case
        if case.redundant_experts != case.devices:
            return None  # no device's last slot can be told to be a spare one
        weights = hotness.sum(axis=0, dtype=np.float64)
        table = deployment.copy()
        for layer, weight in enumerate(weights):
            hottest = np.argsort(-weight, kind="stable")[: case.devices]
            halved = weight.copy()
            halved[hottest] /= 2
            loads = halved[table[layer, :, :-1]].sum(axis=1)
            table[layer, np.argsort(loads, kind="stable"), -1] = hottest
        changed = (table != deployment).any(axis=(1, 2))
        return np.flatnonzero(changed), table
