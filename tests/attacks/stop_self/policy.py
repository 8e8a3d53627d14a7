"""Stops itself, so that it neither answers nor ends."""

import os
import signal


def rebalance(hotness, n_device, n_red_expert):
    while True:
        os.kill(os.getpid(), signal.SIGSTOP)
