"""Takes more memory than it may, as mappings."""

import mmap

import honest


def rebalance(hotness, n_device, n_red_expert):
    kept = [mmap.mmap(-1, 2**28, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) for _ in range(100)]
    len(kept)
    return honest.rebalance(hotness, n_device, n_red_expert)
