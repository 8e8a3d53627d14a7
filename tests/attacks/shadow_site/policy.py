"""Brings what Python imports at its start: sitecustomize, usercustomize, a .pth file."""

from honest import rebalance

__all__ = ["rebalance"]
