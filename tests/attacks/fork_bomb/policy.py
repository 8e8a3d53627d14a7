"""Forks as fast as it can."""

import os

from honest import attempt, rebalance

__all__ = ["rebalance"]


def bomb():
    for _ in range(20):
        if os.fork() == 0:
            os._exit(0)
    return True


attempt("bomb", bomb)
