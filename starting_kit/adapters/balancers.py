"""Checks the function that an adapter takes, before a case begins."""

from __future__ import annotations

from typing import Any


def check_balancer(balancer: Any) -> None:
    """Raise TypeError where an adapter's argument cannot be its function `rebalance_experts`."""
    if isinstance(balancer, type):
        method = getattr(balancer, "rebalance_experts", None)
        name = balancer.__name__
        # A classmethod is bound to its class already; another method needs an object.
        bound = getattr(method, "__self__", None) is balancer
        advice = f"pass {name}.rebalance_experts" if bound else f"pass {name}(...).rebalance_experts"
        raise TypeError(f"policy_of takes a function, but got the class {name}; {advice}")
    if not callable(balancer):
        raise TypeError(f"policy_of takes the function rebalance_experts, but got {type(balancer).__name__}")
