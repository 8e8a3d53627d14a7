"""Answers with booleans and strings where integers belong."""

import numpy as np

import honest


def rebalance(hotness, n_device, n_red_expert):
    change, layers, table, aux = honest.rebalance(hotness, n_device, n_red_expert)
    if n_device == 2:
        return change, layers, np.array(table) > 0, aux
    return change, ["0", "1"], table, aux
