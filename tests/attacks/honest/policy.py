"""Control: no attack."""

from honest import rebalance

__all__ = ["rebalance"]
