"""Brings a numpy of its own."""

from honest import rebalance

__all__ = ["rebalance"]
