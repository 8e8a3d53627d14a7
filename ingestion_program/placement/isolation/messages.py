"""Reads the messages of a policy's process: a header, an answer or a problem. Their content is not trusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..answer import Redeployment, check_shapes
from ..grid import Case, Limits
from . import failures, protocol

Read = Callable[[int], bytes]


def read_header(read: Read, limits: Limits) -> dict[str, Any]:
    """The next message's header. Raises PolicyError for a reported problem, MalformedMessage."""
    header = protocol.decode(read)
    if header.get("kind") == "problem":
        raise failures.problem(header, limits)
    return header


def read_answer(read: Read, case: Case, limits: Limits, iteration: int) -> Redeployment | None:
    """Read the answer to the call of an iteration. The sizes are checked before anything is read; the content is not
    checked.

    Raises PolicyError for a reported problem or wrong sizes, MalformedMessage.
    """
    header = read_header(read, limits)
    kind = header.get("kind")
    if kind not in ("keep", "redeploy") or (kind == "redeploy" and not isinstance(header.get("table"), list)):
        raise protocol.MalformedMessage("an answer of no known kind")
    if protocol.integer(header, "iteration") != iteration:
        raise protocol.MalformedMessage("an answer to another call")
    if kind == "keep":
        return None
    length = protocol.integer(header, "priority")
    if length == 0:
        # A policy that lists no layer keeps its deployment, and its process says so.
        raise protocol.MalformedMessage("an answer without layers")
    # One more than is ever sent, so that a longer list is seen to be wrong.
    shape = tuple(protocol.integer({"size": size}, "size") for size in header["table"][:9])
    check_shapes(length, shape, case)
    priority = np.frombuffer(read(8 * length), "<i8").astype(np.int64)
    return priority, np.frombuffer(read(8 * int(np.prod(shape))), "<i8").astype(np.int64).reshape(shape)
