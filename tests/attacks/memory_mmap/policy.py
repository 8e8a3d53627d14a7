"""Takes more memory than it may, as anonymous and as shared mappings."""

import mmap

import honest


def rebalance(hotness, n_device, n_red_expert):
    kept = [
        mmap.mmap(-1, 2**28, flags={2: mmap.MAP_PRIVATE, 3: mmap.MAP_SHARED}[n_device] | mmap.MAP_ANONYMOUS)
        for _ in range(100)
    ]
    len(kept)
    return honest.rebalance(hotness, n_device, n_red_expert)
