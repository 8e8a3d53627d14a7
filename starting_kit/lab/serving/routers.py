"""The routers by name: as --router gives them, and as a plan keeps its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from placement.errors import Problem

from ..traces.batches import Batches
from .replicas import Replicas
from .routing import block_aligned, first_copy, first_fit, least_loaded, round_robin, row_blocks, same_row_first
from .torus import Torus

Router = Callable[[Batches, Replicas], np.ndarray]


def name_of(router: Router) -> str:
    """The name of a router: that of its function, with hyphens."""
    return router.__name__.replace("_", "-")


# They depend on the lists of replicas alone: a replica keeps its tokens wherever it lies, so search can move it.
OF_LISTS = {name_of(router): router for router in (first_copy, round_robin, first_fit, block_aligned, row_blocks)}
NAMES = (*OF_LISTS, name_of(least_loaded), name_of(same_row_first))


def routers(torus: Torus, threshold: float = 1.0, age: int = 0) -> dict[str, Router]:
    """All routers by name, for a grid. threshold: of same-row-first; age: of least-loaded's hints, in batches."""
    return OF_LISTS | {
        "least-loaded": lambda batches, replicas: least_loaded(batches, replicas, age),
        "same-row-first": lambda batches, replicas: same_row_first(batches, replicas, torus, threshold),
    }


def of_lists(name: str) -> Router:
    """The router of this name, to search with. Raises Problem for one that looks at where replicas lie."""
    if name not in OF_LISTS:
        expected = f"one of {', '.join(OF_LISTS)}, under which a replica keeps its tokens wherever it lies"
        raise Problem("search cannot follow the router", name, expected, "give --router")
    return OF_LISTS[name]
