"""Gates that compare all tokens of a batch before they choose: balanced exactly, but not causal."""

from __future__ import annotations

import numpy as np

from placement.errors import Problem

from ..traces.generators import top


def base(scores: np.ndarray, k: int) -> np.ndarray:
    """The choices of the largest total score whose expert loads differ by at most 1: int64 [token, k].

    scores: [token, expert]. BASE (arXiv 2103.16716) assigns one expert to a token; with k the assignment is a linear
    program, whose corners are whole numbers, so that no token gets an expert twice. Raises Problem without scipy.
    """
    try:
        from scipy.optimize import linprog
        from scipy.sparse import csr_matrix, vstack
    except ImportError as error:
        expected = "scipy, which solves the assignment"
        next_step = "in the top folder, .venv/bin/python -m pip install -r requirements.txt"
        raise Problem("BASE needs scipy", str(error), expected, next_step) from None
    tokens, experts = scores.shape
    token, expert = np.divmod(np.arange(scores.size), experts)
    ones = np.ones(scores.size)
    of_tokens = csr_matrix((ones, (token, np.arange(scores.size))))
    of_experts = csr_matrix((ones, (expert, np.arange(scores.size))))
    most = -(-tokens * k // experts)
    # Of scores below 1e-7 the solver sees no difference, and above 1e20 it solves nothing.
    cost = -scores.astype(np.float64).ravel() / (scores.max() or 1)
    solved = linprog(
        cost,
        A_eq=of_tokens,
        b_eq=np.full(tokens, k),
        # As many more than the even share as are needed, and none fewer.
        A_ub=vstack([of_experts, -of_experts]),
        b_ub=np.repeat([most, -(tokens * k // experts)], experts),
        bounds=(0, 1),
        method="highs-ds",
    )
    chosen = solved.x.reshape(scores.shape) > 0.5
    return np.argsort(np.where(chosen, -scores, np.inf), axis=1, kind="stable")[:, :k]


def expert_choice(scores: np.ndarray, k: int) -> np.ndarray:
    """Every expert takes its tokens * k / experts best tokens: int64 [token, most choices], -1 where a token has fewer.

    scores: [token, expert]; of equal scores the earlier token. The share is rounded down, and at least 1. Source: Zhou
    et al. (arXiv 2202.09368).
    """
    tokens, experts = scores.shape
    share = max(1, tokens * k // experts)
    chosen = np.zeros(scores.shape, bool)
    np.put_along_axis(chosen, top(scores.T, share).T, True, axis=0)
    token, expert = np.nonzero(chosen)
    count = chosen.sum(axis=1)
    place = np.arange(len(token)) - np.repeat(np.cumsum(count) - count, count)
    result = np.full((tokens, count.max()), -1)
    result[token, place] = expert
    return result
