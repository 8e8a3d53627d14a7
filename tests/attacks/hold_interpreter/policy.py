"""Holds the interpreter in one long computation in C."""


def rebalance(hotness, n_device, n_red_expert):
    pow(3, 10**9)
