"""Answers with negative ids, which index from the end, and with integers beyond 64 bits."""

import honest


def rebalance(hotness, n_device, n_red_expert):
    change, _, table, aux = honest.rebalance(hotness, n_device, n_red_expert)
    table[0][0][0] = -1 if n_device == 2 else 2**64
    return change, [0], table, aux
