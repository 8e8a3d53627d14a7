"""Nests folders in its scratch folder so deeply that removing them overruns a stack or a path."""

import os

from honest import HERE, attempt, rebalance, scratch

__all__ = ["rebalance"]


def nest():
    os.chdir(scratch())
    for _ in range(1500):
        os.mkdir("d")
        os.chdir("d")


# Open only if it cannot be removed, which the runner sees.
attempt("nest", nest)
os.chdir(HERE)
