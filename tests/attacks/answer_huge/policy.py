"""Answers with ten million entries, and with a view that claims a billion billion."""

import numpy as np

import honest


def rebalance(hotness, n_device, n_red_expert):
    change, layers, table, aux = honest.rebalance(hotness, n_device, n_red_expert)
    if n_device == 2:
        return change, layers, np.zeros(10**7, np.int8), aux
    return change, np.lib.stride_tricks.as_strided(np.zeros(1, np.int8), (10**18,), (0,)), table, aux
