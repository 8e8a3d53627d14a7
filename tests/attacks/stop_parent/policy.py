"""Stops the simulator, so that no limit is watched, and sends it other signals."""

import os
import signal

from honest import attempt, parent, rebalance

__all__ = ["rebalance"]


def stop():
    os.kill(parent(), signal.SIGSTOP)
    os.kill(parent(), signal.SIGCONT)
    return True


attempt("stop", stop)
for number in (signal.SIGCONT, signal.SIGUSR1, signal.SIGINT, signal.SIGTERM):
    attempt(f"signal {number}", lambda number=number: os.kill(parent(), number) or True)
