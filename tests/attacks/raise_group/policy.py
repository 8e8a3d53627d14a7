"""Raises an exception with a cause of itself, and one a thousand causes deep."""

import honest


def rebalance(hotness, n_device, n_red_expert):
    first = error = ValueError("first")
    for _ in range(1000):
        error.__cause__ = error = ValueError("next")
    error.__cause__ = first
    raise first
    return honest.rebalance(hotness, n_device, n_red_expert)
