"""Brings a command of its own, which the platform would run beside the simulator."""

from honest import rebalance

__all__ = ["rebalance"]
