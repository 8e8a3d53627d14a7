"""Threads that burn the processor between the calls and after the last one."""

import threading

from honest import rebalance

__all__ = ["rebalance"]


def burn():
    while True:
        sum(range(1000))


for _ in range(4):
    threading.Thread(target=burn, daemon=True).start()
print("burning")
