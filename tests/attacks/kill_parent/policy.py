"""Kills the process that replays the trace."""

import os
import signal

from honest import attempt, parent, rebalance

__all__ = ["rebalance"]

attempt("kill", lambda: os.kill(parent(), signal.SIGKILL) or True)
