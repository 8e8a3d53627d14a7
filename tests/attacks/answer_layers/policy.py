"""Lists a layer twice, and one that does not exist."""

import honest


def rebalance(hotness, n_device, n_red_expert):
    change, _, table, aux = honest.rebalance(hotness, n_device, n_red_expert)
    return change, [0, 0] if n_device == 2 else [-1], table, aux
