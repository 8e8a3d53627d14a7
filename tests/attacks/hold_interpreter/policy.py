"""Holds the interpreter in one long computation in C."""

import honest


def rebalance(hotness, n_device, n_red_expert):
    if n_device == 2:
        pow(3, 10**9)
    return honest.rebalance(hotness, n_device, n_red_expert)
