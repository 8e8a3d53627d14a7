"""The one."""

from honest import rebalance

__all__ = ["rebalance"]
