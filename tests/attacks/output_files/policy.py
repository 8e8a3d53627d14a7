"""Brings files that look like results, which the platform puts into the output folder."""

from honest import rebalance

__all__ = ["rebalance"]
