"""The other."""

from honest import rebalance

__all__ = ["rebalance"]
