"""Small random tables and batches for the lab's tests."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from lab.imbalance.closed_form import ExpertImbalance
from lab.traces.batches import Batches

# The published anchor traces, which no part of the project holds.
ANCHORS = Path(os.environ.get("LAB_ANCHORS", Path(__file__).resolve().parents[2] / "shared" / "data"))
needs_anchors = pytest.mark.skipif(
    not (ANCHORS / "routing_q.npz").is_file(), reason="the anchor traces are not here; LAB_ANCHORS names their folder"
)


def random_batches(
    seed: int, experts: int = 12, k: int = 3, rows: int = 4, sizes: tuple[int, ...] = (40, 33)
) -> Batches:
    """Batches of a skewed draw."""
    rng = np.random.default_rng(seed)
    keys = rng.gumbel(size=(sum(sizes), experts)) - np.log1p(np.arange(experts))
    choices = np.argsort(-keys, axis=1)[:, :k].astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    return Batches(experts, choices, rng.integers(rows, size=sum(sizes)).astype(np.int32), starts)


def random_table(seed: int, experts: int = 12, devices: int = 8, slots: int = 3) -> np.ndarray:
    """A table in which every expert has a slot, and the rest are random."""
    rng = np.random.default_rng(seed)
    ids = np.concatenate([np.arange(experts), rng.integers(experts // 2, size=devices * slots - experts)])
    return rng.permutation(ids).reshape(devices, slots)


def expected_load(imbalance: ExpertImbalance, tokens: int) -> np.ndarray:
    """Tokens of each expert in the imbalance model, the hot ones first: float64 [expert]."""
    load = np.full(imbalance.experts, float(imbalance.remaining_load(tokens)))
    load[: imbalance.worst_case_experts] = float(imbalance.hot_load(tokens))
    return load
