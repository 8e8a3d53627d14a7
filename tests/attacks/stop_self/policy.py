"""Stops itself, so that it neither answers nor ends."""

import os
import signal

import honest


def rebalance(hotness, n_device, n_red_expert):
    if n_device == 2:
        os.kill(os.getpid(), signal.SIGSTOP)
    return honest.rebalance(hotness, n_device, n_red_expert)
