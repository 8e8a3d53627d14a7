"""Prints ten megabytes, on both streams."""

import os

from honest import rebalance

__all__ = ["rebalance"]

for _ in range(100):
    os.write(1, b"flood " * 8192)
    os.write(2, b"flood\n" * 8192)
