"""Sleeps through its limit."""

import time


def rebalance(hotness, n_device, n_red_expert):
    while True:
        time.sleep(60)
