"""Answers with a slot too many, and with a table turned."""

import numpy as np

import honest


def rebalance(hotness, n_device, n_red_expert):
    change, layers, table, aux = honest.rebalance(hotness, n_device, n_red_expert)
    if n_device == 2:
        return change, layers, [[[*device, 0] for device in layer] for layer in table], aux
    return change, layers, np.array(table).T, aux
