"""Checks arrays of experts' choices."""

from __future__ import annotations

from math import comb, log10

import numpy as np

# A chance of one in ten to this power is none.
CERTAIN = 6
# Tokens checked at a time, so that a check needs little memory beside the array.
BLOCK = 1 << 16


def wrong_choice(choices: np.ndarray, experts: int) -> tuple[str, str] | None:
    """What is got and what is expected at the first wrong choice; None for integers in 0 .. experts - 1, each once.

    choices: [token, k], no expert twice in a token.
    """
    if choices.dtype.kind not in "iu":
        return f"the experts have dtype {choices.dtype}", "integers"
    for first in range(0, len(choices), BLOCK):
        ordered = np.sort(choices[first : first + BLOCK], axis=1)
        wrong = (ordered[:, 0] < 0) | (ordered[:, -1] >= experts)
        if wrong.any():
            token = int(np.argmax(wrong))
            got = ordered[token, 0] if ordered[token, 0] < 0 else ordered[token, -1]
            return f"token {first + token} chose expert {got}", f"0 .. {experts - 1}"
        # Not np.diff: it wraps in unsigned dtypes, which is harmless here but hard to see.
        twice = ordered[:, 1:] == ordered[:, :-1]
        if twice.any():
            token, place = np.argwhere(twice)[0]
            return f"token {first + token} chose expert {ordered[token, place]} twice", "distinct ones"
    return None


def no_chance(choices: np.ndarray, experts: int) -> bool:
    """Whether other tokens are not routed like these: too many of them, or too many ways to choose. See wrong_choice.

    One token may be there again: texts begin alike.
    """
    return len(choices) > 1 and len(choices) * log10(comb(experts, choices.shape[1])) >= CERTAIN
