"""Balance without an auxiliary loss: a bias that selects, and is moved after every batch (DeepSeek-V3)."""

from __future__ import annotations

import numpy as np

from ..traces.generators import top

# Of a bias in one batch, beside affinities between 0 and 1.
STEP = 0.01
# How far the sum of a token's softmax may lie from 1: one that was recorded as bfloat16 is off by up to 2^-8.
ROUNDING = 1e-2


def affinities(scores: np.ndarray) -> np.ndarray:
    """Scores as sigmoids, which the bias is made for: float64 [token, expert], in the order of a token's scores.

    A softmax over many experts has hardly a score above a step of the bias; of logits l its share p becomes
    sigmoid(l - log mean e^l) = x / (1 + x) with x = p * experts. Scores that do not add up to 1 are sigmoids already.
    """
    exact = scores.astype(np.float64)
    if np.abs(exact.sum(axis=1) - 1).max() > ROUNDING:
        return exact
    even = exact * scores.shape[1]
    return even / (1 + even)


def biased(scores: np.ndarray, k: int, bias: np.ndarray) -> np.ndarray:
    """The k experts of the largest affinity + bias: int64 [token, k]. The weights of the experts know no bias.

    scores: [token, expert]; bias: float64 [expert].
    """
    return top(affinities(scores) + bias, k)


def moved(bias: np.ndarray, load: np.ndarray, step: float = STEP) -> np.ndarray:
    """The bias for the next batch: up by a step where an expert had fewer tokens than the mean, down where more.

    load: tokens [expert] of the batch. Source: DeepSeek-V3 (arXiv 2412.19437), section 2.1.2.
    """
    return bias + step * np.sign(load.mean() - load)
