"""Brings a command of its own under the platform's older name."""

from honest import rebalance

__all__ = ["rebalance"]
