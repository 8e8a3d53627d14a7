"""Prints without end."""

import os


def rebalance(hotness, n_device, n_red_expert):
    while True:
        os.write(1, b"again " * 1000)
