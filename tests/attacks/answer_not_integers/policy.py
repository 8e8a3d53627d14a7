"""Answers with floats, NaN, infinity: in the table, in the priority."""

import numpy as np

import honest


def rebalance(hotness, n_device, n_red_expert):
    change, layers, table, aux = honest.rebalance(hotness, n_device, n_red_expert)
    if n_device == 2:
        return change, layers, np.where(np.array(table) > 0, np.nan, np.inf), aux
    return change, [float("nan"), 0.0], table, aux
