"""Leaves a daemon behind: two forks, a session of its own, ignored signals."""

import os
import signal
import time

from honest import attempt, rebalance

__all__ = ["rebalance"]


def daemon():
    if os.fork():
        return True
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)
    os._exit(0)


attempt("daemon", daemon)
