"""Takes more memory than it may, with numpy."""

import numpy as np

import honest


def rebalance(hotness, n_device, n_red_expert):
    np.ones(2**28 if n_device == 2 else 2**40)
    return honest.rebalance(hotness, n_device, n_red_expert)
