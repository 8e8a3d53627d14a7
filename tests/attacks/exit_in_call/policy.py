"""Ends with success at its first call in one case, at its second in the other."""

import os

import honest

calls = 0


def rebalance(hotness, n_device, n_red_expert):
    global calls
    calls += 1
    if calls == n_device // 2:
        print("leaving", flush=True)
        os._exit(0)
    return honest.rebalance(hotness, n_device, n_red_expert)
