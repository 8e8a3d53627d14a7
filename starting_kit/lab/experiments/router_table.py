"""The routers on one deployment table: what each makes of the same batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from ..gating.catalogue import meets
from ..serving.cost import BLOCK, Preset, device_sums, replica_tokens
from ..serving.measures import measures
from ..serving.replicas import Replicas
from ..serving.routing import least_loaded, round_robin
from ..serving.torus import Torus
from ..traces.batches import Batches

# What is printed of all routers on one plan.
COMPARED = (
    *("layer", "router", "mean", "p99", "max_device_tokens", "rows_per_token", "cross_row_share"),
    *("served", "apart", "tokens_ok", "blocks_ok", "route_ms", "meets"),
)
# Levels tokens, where the router of that name levels blocks of them.
BY_TOKENS = {"least-loaded, tokens": partial(least_loaded, block=1)}
Routers = Mapping[str, Callable[[Batches, Replicas], np.ndarray]]


def router_rows(
    batches: Batches, replicas: Replicas, routers: Routers, torus: Torus, preset: Preset
) -> list[dict[str, object]]:
    """A row for each router: its measures, and what tells it from others.

    served: the share of choices that a replica of their expert serves, which is to be 1; apart: by how many tokens the
    replicas of an expert differ at most in a batch; tokens_ok, blocks_ok: the share of batches whose largest device
    load, in tokens and in blocks, is at most that of round robin; route_ms: milliseconds of a processor per batch, and
    meets: the class that they are in.
    """
    turns = _largest(batches, replicas, round_robin(batches, replicas))
    rows = []
    for name, router in routers.items():
        begun = time.process_time()
        # Without what another router has counted already.
        routed = router(replace(batches), replicas)
        taken = time.process_time() - begun
        tokens, largest = replica_tokens(batches, replicas, routed), _largest(batches, replicas, routed)
        most, least = (each.reduceat(tokens, replicas.first[:-1], axis=1) for each in (np.maximum, np.minimum))
        rows.append(
            {
                "router": name,
                **measures(batches, replicas, routed, torus, preset),
                "served": float((replicas.expert[routed] == batches.choices).mean()),
                "apart": int((most - least).max()),
                "tokens_ok": float((largest[0] <= turns[0]).mean()),
                "blocks_ok": float((largest[1] <= turns[1]).mean()),
                "route_ms": 1000 * taken / batches.count,
                "meets": meets(np.full(batches.count, taken / batches.count)),
            }
        )
    return rows


def _largest(batches: Batches, replicas: Replicas, routed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest device load of each batch in tokens, and in blocks of tokens: int64 [batch] each."""
    tokens = replica_tokens(batches, replicas, routed)
    return tuple(device_sums(values, replicas).max(axis=1) for values in (tokens, -(-tokens // BLOCK)))
