"""Gates that look at one token at a time, and how uneven a batch is by the auxiliary loss."""

from __future__ import annotations

import numpy as np

from ..traces.generators import top


def top_k(scores: np.ndarray, k: int) -> np.ndarray:
    """The k best experts of every token, the best first: int64 [token, k]. scores: [token, expert]."""
    return top(scores, k)


def limited(scores: np.ndarray, k: int, groups: int, kept: int, best: int = 2) -> np.ndarray:
    """The k best experts within the `kept` best groups: int64 [token, k].

    scores: [token, expert]; groups: of neighbouring experts, of one size; best: a group's score is the sum of its best
    experts', of 2 as in DeepSeek-V3 (arXiv 2412.19437), of 1 as in DeepSeek-V2 (arXiv 2405.04434). Raises ValueError
    for groups that do not divide the experts, or too few to choose from.
    """
    tokens, experts = scores.shape
    size = experts // groups
    if size * groups != experts or not 1 <= kept <= groups or kept * size < k or not 1 <= best <= size:
        raise ValueError(
            f"{kept} of {groups} groups of {experts} experts, scored by {best}, for {k} choices; expected groups of "
            "one size, with the experts that score them, and as many in those kept as a token chooses"
        )
    grouped = scores.reshape(tokens, groups, size)
    rank = np.partition(grouped, size - best, axis=2)[:, :, size - best :].sum(axis=2)
    allowed = np.zeros((tokens, groups), bool)
    np.put_along_axis(allowed, top(rank, kept), True, axis=1)
    return top(np.where(allowed[:, :, None], grouped, -np.inf).reshape(tokens, experts), k)


def auxiliary_loss(scores: np.ndarray, choices: np.ndarray) -> float:
    """experts * sum of f * P: f an expert's share of the choices, P its mean share of a token's scores.

    1 where one of them is even, more where both are skewed alike. scores: [token, expert], from 0, of a token that has
    only zeros no share; choices: [token, choice], -1 for none. Source: Switch Transformers (arXiv 2101.03961),
    there with one choice.
    """
    experts = scores.shape[1]
    load = np.bincount(choices[choices >= 0], minlength=experts)
    total = scores.sum(axis=1, keepdims=True)
    share = np.divide(scores, total, where=total > 0, out=np.zeros(scores.shape)).mean(axis=0)
    return float(experts * (load / load.sum() * share).sum())
