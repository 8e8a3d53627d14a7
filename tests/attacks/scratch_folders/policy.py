"""Leaves more files in folders of its scratch folder than it may in all."""

import os

import honest


def rebalance(hotness, n_device, n_red_expert):
    for number in range(1100 if n_device == 2 else 0):
        folder = f"{honest.scratch()}/{number % 7}/{number % 11}"
        os.makedirs(folder, exist_ok=True)
        os.close(os.open(f"{folder}/{number}", os.O_CREAT | os.O_WRONLY))
    return honest.rebalance(hotness, n_device, n_red_expert)
