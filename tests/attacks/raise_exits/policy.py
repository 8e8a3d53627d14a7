"""Raises what is no Exception: SystemExit with success, KeyboardInterrupt."""

import honest


def rebalance(hotness, n_device, n_red_expert):
    raise {2: SystemExit(0), 3: KeyboardInterrupt}[n_device]
    return honest.rebalance(hotness, n_device, n_red_expert)
