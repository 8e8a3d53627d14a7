"""Ids of experts in eight bits: those from 128 on are negative in int8, those from 256 on are lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from placement.errors import OrganizerError

from .routed_tokens import RoutedTokens


def widened(requests: Iterable[RoutedTokens], experts: int, narrow: list[str]) -> Iterator[RoutedTokens]:
    """The requests, with ids in int8 of a model of more than 128 experts as they were before they wrapped.

    narrow: takes the place of each such request. Raises OrganizerError for eight bits and more than 256 experts.
    """
    for request in requests:
        if experts <= 128 or request.ids.dtype.itemsize > 1 or not request.ids.size:
            yield request
            continue
        if experts > 256:
            got, expected = f"{request.ids.dtype} for {experts} experts", "at least 16 bits: others wrap in silence"
            next_step = "record again with wider ids, or correct --experts"
            raise OrganizerError("the ids do not fit their dtype", got, expected, next_step, request.where)
        if request.ids.dtype == np.uint8:
            yield request
            continue
        narrow.append(request.where)
        yield request._replace(ids=_widened(request.ids, experts))


def _widened(ids: np.ndarray, experts: int) -> np.ndarray:
    """ids: int8 [token, layer, choice]. Of 256 experts the last is -1 too, but never in all choices of a token."""
    none = ids == -1
    if experts == 256 and ids.shape[2] > 1:
        none &= none.all(axis=2, keepdims=True)
    elif experts == 256:
        none &= none.all(axis=(1, 2), keepdims=True) | none.all(axis=(0, 2), keepdims=True)
    return np.where(none, np.int16(-1), ids.astype(np.int16) & 0xFF)
