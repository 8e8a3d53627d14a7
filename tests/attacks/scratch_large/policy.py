"""Leaves more bytes in its scratch folder than it may, in many files."""

import os

import honest


def rebalance(hotness, n_device, n_red_expert):
    for number in range(6 if n_device == 2 else 0):
        descriptor = os.open(f"{honest.scratch()}/{number}", os.O_CREAT | os.O_WRONLY)
        os.posix_fallocate(descriptor, 0, 2**26 - 1)
        os.close(descriptor)
    return honest.rebalance(hotness, n_device, n_red_expert)
