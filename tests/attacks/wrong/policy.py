"""Control: an answer in which an expert has no slot."""

import honest


def rebalance(hotness, n_device, n_red_expert):
    change, layers, table, aux = honest.rebalance(hotness, n_device, n_red_expert)
    return change, layers, [[[0 for slot in device] for device in layer] for layer in table], aux
