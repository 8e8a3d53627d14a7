"""Choices with gaps: tokens to which gating gave fewer experts than others, or none.

A gap is -1 in [token, choice]. Routers, planners and search know no gaps: here they are left out before a router sees
the choices, and put back into what it returns, which the cost model and the measures leave out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..traces.batches import Batches
from .replicas import Replicas
from .routers import Router


def routed_with_gaps(router: Router, batches: Batches, choices: np.ndarray, replicas: Replicas) -> np.ndarray:
    """Route other choices of the batches' tokens: int64 [token, choice] -> replica, -1 where there is a gap.

    choices: integers [token, any number of choices] -> expert, or -1. A router goes through choices token by token, so
    to serve each as a token of one choice is the same. Raises ValueError for a batch without any choice.
    """
    served = choices >= 0
    if served.all():
        return router(replace(batches, choices=choices), replicas)
    count = served.sum(axis=1)
    starts = np.append(0, np.cumsum(count))[batches.starts]
    alone = Batches(batches.experts, choices[served][:, None], np.repeat(batches.origins, count), starts)
    routed = np.full(choices.shape, -1)
    routed[served] = router(alone, replicas)[:, 0]
    return routed
