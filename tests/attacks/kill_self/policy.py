"""Kills itself, with SIGKILL and with a signal that leaves a core file."""

import os
import signal

import honest


def rebalance(hotness, n_device, n_red_expert):
    os.kill(os.getpid(), {2: signal.SIGKILL, 3: signal.SIGQUIT}[n_device])
    raise RuntimeError("still here")
    return honest.rebalance(hotness, n_device, n_red_expert)
