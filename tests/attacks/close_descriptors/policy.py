"""Closes every descriptor that it did not open."""

import os

import honest


def rebalance(*arguments):
    os.closerange(0, 256)
    return honest.rebalance(*arguments)
