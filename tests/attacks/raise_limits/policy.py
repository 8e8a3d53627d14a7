"""Raises its own limits, by either call."""

import resource

from honest import attempt, rebalance

__all__ = ["rebalance"]

for name in ("AS", "CORE", "CPU", "FSIZE", "NOFILE"):
    kind = getattr(resource, f"RLIMIT_{name}")
    soft, hard = resource.getrlimit(kind)
    print(name, soft, hard)
    attempt(f"{name} is limited", lambda hard=hard: None if hard != resource.RLIM_INFINITY else hard)
    if hard != resource.RLIM_INFINITY:
        attempt(name, lambda kind=kind: resource.setrlimit(kind, (resource.RLIM_INFINITY,) * 2) or True)
        attempt(f"prlimit {name}", lambda kind=kind: resource.prlimit(0, kind, (resource.RLIM_INFINITY,) * 2))
