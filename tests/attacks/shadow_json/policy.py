"""Brings a json of its own, as a package."""

from honest import rebalance

__all__ = ["rebalance"]
