"""Leaves more files in its scratch folder than anyone needs."""

import os

import honest


def rebalance(hotness, n_device, n_red_expert):
    for number in range(1100 if n_device == 2 else 0):
        os.close(os.open(f"{honest.scratch()}/{number}", os.O_CREAT | os.O_WRONLY))
    return honest.rebalance(hotness, n_device, n_red_expert)
