"""Routing of single tokens in several layers: what the lab reads, draws and cuts into batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from traces.conversion.choices import wrong_choice

from .batches import Batches
from .layers import LazyLayers


@dataclass(frozen=True, eq=False)
class RoutingTrace:
    """The experts that every token chose in every layer.

    experts: number of experts; layers: the layers' ids; choices: int32 [layer, token, k] -> expert, no expert twice in
    a token, or LazyLayers of any integers, checked where they are made; requests: int64 [token], the request that a
    token belongs to; origins: int32 [token], the row of the grid that a token comes from, or None; scores: float32
    [layer, token, expert], what the router gave every expert, from 0 (a softmax, or sigmoids), or None; weights: the
    same of the chosen experts alone, float32 [layer, token, k]. Other dtypes are converted. Raises ValueError for
    arrays that do not fit together, ids out of range, repeated experts, and scores below 0 or infinite.
    """

    experts: int
    layers: tuple[int, ...]
    choices: np.ndarray | LazyLayers
    requests: np.ndarray
    origins: np.ndarray | None = None
    scores: np.ndarray | LazyLayers | None = None
    weights: np.ndarray | LazyLayers | None = None

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
            ("weights", self.choices.shape),
        ):
            values = getattr(self, name)
            if values is not None and values.shape != shape:
                raise ValueError(f"{name} have the shape {list(values.shape)}; expected {list(shape)}")
        if self.origins is not None and self.origins.min() < 0:
            raise ValueError(f"the origin row {int(self.origins.min())} is below 0")
        # Lazy layers are checked where they are made.
        if isinstance(self.choices, np.ndarray):
            for layer, values in zip(self.layers, self.choices, strict=True):
                if wrong := wrong_choice(values, self.experts):
                    raise ValueError(f"layer {layer}: {'; expected '.join(wrong)}")
            object.__setattr__(self, "choices", self.choices.astype(np.int32, copy=False))
        for name, dtype in (("requests", np.int64), ("origins", np.int32)):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, getattr(self, name).astype(dtype, copy=False))
        for name in ("scores", "weights"):
            if isinstance(values := getattr(self, name), np.ndarray):
                # In float64 a number may be finite that is not in float32.
                with np.errstate(over="ignore"):
                    values = values.astype(np.float32, copy=False)
                if not (values.min() >= 0 and values.max() < np.inf):
                    raise ValueError(f"{name} are {values.min():g} .. {values.max():g}; expected finite numbers from 0")
                object.__setattr__(self, name, values)

    @property
    def tokens(self) -> int:
        """How many tokens the trace has."""
        return self.choices.shape[1]

    def order(self, seed: int | None) -> np.ndarray:
        """An epoch's tokens: int64 [token], as they are without a seed, else in random order over all requests."""
        return np.arange(self.tokens) if seed is None else np.random.default_rng([seed, 0]).permutation(self.tokens)

    def batches(
        self,
        layer_index: int,
        tokens_per_batch: int,
        rows: int = 16,
        seed: int | None = None,
        most: int | None = None,
    ) -> Batches:
        """One epoch of a layer in batches: every token once, the last batch may be smaller; or its first `most` ones.

        layer_index: position in `layers`; seed: None keeps the order, else tokens are drawn at random over all
        requests, in the same order for every layer. Where the trace has no origins, a token gets a uniform row of
        `rows` from the seed, and token i the row i mod rows without one. Raises ValueError for sizes below 1 and
        origins outside the rows.
        """
        if tokens_per_batch < 1 or rows < 1:
            raise ValueError(f"got {tokens_per_batch} tokens per batch and {rows} rows; expected at least 1 of each")
        order = self.order(seed)
        order = order if most is None else order[: most * tokens_per_batch]
        starts = np.append(np.arange(0, len(order), tokens_per_batch), len(order))
        origins = self._origins(rows, seed)[order]
        return Batches(self.experts, self.choices[layer_index][order], origins, starts)

    def select(self, layers: tuple[int, ...]) -> RoutingTrace:
        """The same with some of its layers, given by id. Raises ValueError for ids that it has not."""
        missing = [layer for layer in layers if layer not in self.layers]
        if missing:
            raise ValueError(f"no layers {missing} in the trace; it has {list(self.layers)}")
        at = [self.layers.index(layer) for layer in layers]
        scores, weights = (None if values is None else values[at] for values in (self.scores, self.weights))
        return RoutingTrace(self.experts, tuple(layers), self.choices[at], self.requests, self.origins, scores, weights)

    def taken(self, tokens: np.ndarray) -> RoutingTrace:
        """The same with some of its tokens: integers or booleans [token]."""
        origins = None if self.origins is None else self.origins[tokens]
        scores, weights = (None if values is None else values[:, tokens] for values in (self.scores, self.weights))
        parts = self.choices[:, tokens], self.requests[tokens], origins, scores, weights
        return RoutingTrace(self.experts, self.layers, *parts)

    def sample(self, tokens: int, seed: int) -> RoutingTrace:
        """Whole requests, drawn with the seed until they have so many tokens, in the trace's order; the last is cut.

        The trace as it is, where it has no more tokens.
        """
        if tokens >= self.tokens:
            return self
        _, request, count = np.unique(self.requests, return_inverse=True, return_counts=True)
        drawn = np.random.default_rng([seed, 2]).permutation(len(count))
        # The place of each request among the drawn ones; a stable sort keeps the order of a request's tokens.
        place = np.empty_like(drawn)
        place[drawn] = np.arange(len(drawn))
        return self.taken(np.sort(np.argsort(place[request], kind="stable")[:tokens]))

    def _origins(self, rows: int, seed: int | None) -> np.ndarray:
        if self.origins is None:
            if seed is None:
                return (np.arange(self.tokens) % rows).astype(np.int32)
            return np.random.default_rng([seed, 1]).integers(rows, size=self.tokens, dtype=np.int32)
        if self.origins.max() >= rows:
            raise ValueError(f"the trace has the origin row {int(self.origins.max())}; expected 0 .. {rows - 1}")
        return self.origins
