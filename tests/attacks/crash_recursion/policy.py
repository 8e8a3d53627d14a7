"""Recurses without end, in Python and in C."""

import honest


def rebalance(hotness, n_device, n_red_expert):
    if n_device == 2:
        rebalance(hotness, n_device, n_red_expert)
    deep = []
    for _ in range(10**6):
        deep = [deep]
    repr(deep)
    return honest.rebalance(hotness, n_device, n_red_expert)
