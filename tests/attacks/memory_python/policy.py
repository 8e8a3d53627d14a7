"""Takes more memory than it may, in one piece and in many."""

import honest


def rebalance(hotness, n_device, n_red_expert):
    kept = [bytes(2**31 if n_device == 2 else 2**24) for _ in range(1000)]
    len(kept)
    return honest.rebalance(hotness, n_device, n_red_expert)
