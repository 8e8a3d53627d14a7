"""Prints without end."""

import os

import honest


def rebalance(hotness, n_device, n_red_expert):
    while n_device == 2:
        os.write(1, b"again " * 1000)
    return honest.rebalance(hotness, n_device, n_red_expert)
