"""Lies in an outer folder of its zip: no attack."""

from honest import rebalance

__all__ = ["rebalance"]
