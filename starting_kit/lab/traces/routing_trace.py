"""Routing of single tokens in several layers: what the lab reads, draws and cuts into batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .batches import Batches

# Tokens checked at a time, so that a check needs little memory beside the trace.
BLOCK = 1 << 16


@dataclass(frozen=True, eq=False)
class RoutingTrace:
    """The experts that every token chose in every layer.

    experts: number of experts; layers: the layers' ids; choices: int32 [layer, token, k] -> expert, no expert twice in
    a token; requests: int64 [token], the request that a token belongs to; origins: int32 [token], the row of the grid
    that a token comes from, or None; scores: float32 [layer, token, expert], or None. Integers of other dtypes are
    converted. Raises ValueError for arrays that do not fit together, ids out of range and repeated experts.
    """

    experts: int
    layers: tuple[int, ...]
    choices: np.ndarray
    requests: np.ndarray
    origins: np.ndarray | None = None
    scores: np.ndarray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(int(layer) for layer in self.layers))
        if len(set(self.layers)) != len(self.layers):
            raise ValueError(f"the layers {list(self.layers)} are not distinct")
        if self.choices.ndim != 3 or len(self.choices) != len(self.layers) or 0 in self.choices.shape:
            raise ValueError(
                f"choices have the shape {list(self.choices.shape)}; expected [{len(self.layers)} layers, token, k], "
                "none of them 0"
            )
        layers, tokens, _ = self.choices.shape
        for name, shape in (
            ("requests", (tokens,)),
            ("origins", (tokens,)),
            ("scores", (layers, tokens, self.experts)),
        ):
            values = getattr(self, name)
            if values is not None and values.shape != shape:
                raise ValueError(f"{name} have the shape {list(values.shape)}; expected {list(shape)}")
        if self.origins is not None and self.origins.min() < 0:
            raise ValueError(f"the origin row {int(self.origins.min())} is below 0")
        for layer, values in zip(self.layers, self.choices, strict=True):
            if wrong := wrong_choice(values, self.experts):
                raise ValueError(f"layer {layer}: {'; expected '.join(wrong)}")
        for name, dtype in (("choices", np.int32), ("requests", np.int64), ("origins", np.int32)):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, getattr(self, name).astype(dtype, copy=False))

    @property
    def tokens(self) -> int:
        """How many tokens the trace has."""
        return self.choices.shape[1]

    def order(self, seed: int | None) -> np.ndarray:
        """An epoch's tokens: int64 [token], as they are without a seed, else in random order over all requests."""
        return np.arange(self.tokens) if seed is None else np.random.default_rng([seed, 0]).permutation(self.tokens)

    def batches(self, layer_index: int, tokens_per_batch: int, rows: int = 16, seed: int | None = None) -> Batches:
        """One epoch of a layer in batches: every token once, the last batch may be smaller.

        layer_index: position in `layers`; seed: None keeps the order, else tokens are drawn at random over all
        requests, in the same order for every layer. Where the trace has no origins, a token gets a uniform row of
        `rows` from the seed, and token i the row i mod rows without one. Raises ValueError for sizes below 1 and
        origins outside the rows.
        """
        if tokens_per_batch < 1 or rows < 1:
            raise ValueError(f"got {tokens_per_batch} tokens per batch and {rows} rows; expected at least 1 of each")
        order = self.order(seed)
        starts = np.append(np.arange(0, self.tokens, tokens_per_batch), self.tokens)
        origins = self._origins(rows, seed)[order]
        return Batches(self.experts, self.choices[layer_index][order], origins, starts)

    def select(self, layers: tuple[int, ...]) -> RoutingTrace:
        """The same with some of its layers, given by id. Raises ValueError for ids that it has not."""
        missing = [layer for layer in layers if layer not in self.layers]
        if missing:
            raise ValueError(f"no layers {missing} in the trace; it has {list(self.layers)}")
        at = [self.layers.index(layer) for layer in layers]
        scores = None if self.scores is None else self.scores[at]
        return RoutingTrace(self.experts, tuple(layers), self.choices[at], self.requests, self.origins, scores)

    def _origins(self, rows: int, seed: int | None) -> np.ndarray:
        if self.origins is None:
            if seed is None:
                return (np.arange(self.tokens) % rows).astype(np.int32)
            return np.random.default_rng([seed, 1]).integers(rows, size=self.tokens, dtype=np.int32)
        if self.origins.max() >= rows:
            raise ValueError(f"the trace has the origin row {int(self.origins.max())}; expected 0 .. {rows - 1}")
        return self.origins


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
