"""Answers with a generator, and with a dictionary."""

import honest


def rebalance(hotness, n_device, n_red_expert):
    change, layers, table, aux = honest.rebalance(hotness, n_device, n_red_expert)
    if n_device == 2:
        return change, layers, (row for row in table), aux
    return change, {0: 1}, table, aux
