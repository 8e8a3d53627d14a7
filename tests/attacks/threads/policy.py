"""Starts hundreds of threads that wait, more than anyone needs."""

import contextlib
import threading
import time

import honest


def rebalance(hotness, n_device, n_red_expert):
    threading.stack_size(2**15)
    with contextlib.suppress(RuntimeError, MemoryError):
        for _ in range(1000 if n_device == 2 else 0):
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    print("started", threading.active_count(), flush=True)
    return honest.rebalance(hotness, n_device, n_red_expert)
