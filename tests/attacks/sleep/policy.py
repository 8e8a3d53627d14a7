"""Sleeps through its limit."""

import time

import honest


def rebalance(hotness, n_device, n_red_expert):
    if n_device == 2:
        time.sleep(60)
    return honest.rebalance(hotness, n_device, n_red_expert)
