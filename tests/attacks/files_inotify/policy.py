"""Watches folders that it may not list, to learn the names of what the simulator opens in them."""

import os

from honest import attempt, call, outside, rebalance

__all__ = ["rebalance"]

queue = []
attempt("inotify_init1", lambda: queue.append(call("inotify_init1", 0)))
for place in outside():
    if queue and os.path.isdir(place):
        attempt(f"watch {place}", lambda place=place: call("inotify_add_watch", queue[0], place.encode(), 0x20))
