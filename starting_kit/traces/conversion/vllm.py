"""Routed experts that an engine returns with each request, batched by a model: a request is not a time axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .batching import add_request, schedule
from .narrow_ids import widened
from .recording import Recording, counted
from .routed_files import request_files, routed_requests
from .routed_tokens import Stated, unknown_prompt
from .survey import checked, survey


def read_vllm(paths: Sequence[Path], experts: int, in_flight: int, stated: Stated) -> Recording:
    """The hotness of requests, served `in_flight` at a time in the files' order.

    stated: what the files do not tell. Files are read twice, to hold one request at a time. Raises OrganizerError.
    """
    files = request_files(paths)
    narrow: list[str] = []
    found = survey(widened(routed_requests(files, stated), experts, narrow))
    if None in found.prompts:
        raise unknown_prompt(files[0].name)
    plan = schedule(found.rows, found.prompts, in_flight)
    hotness = np.zeros((plan.iterations, len(found.layers), experts), np.int32)
    requests = checked(widened(routed_requests(files, stated), experts, []), found, experts)
    for request, start in zip(requests, plan.starts, strict=True):
        add_request(hotness, request.ids, request.prompt, start)
    form = (
        f"routed experts of requests, {counted(len(files), 'file')}; batching model: {in_flight} requests in flight, a"
        " prompt in one iteration, then one token per iteration, the next request in order of the files"
    )
    notes = [f"{counted(len(found.rows), 'request')} in order, {files[0].name} .. {files[-1].name}"]
    if narrow:
        notes.append(f"ids from 128 on wrap in int8: those of {counted(len(narrow), 'request')} read as they were")
    if plan.full < plan.iterations:
        few = plan.iterations - plan.full
        notes.append(f"the last {few} of {plan.iterations} iterations have fewer than {in_flight} in flight")
    return Recording(hotness, form, [*notes, *found.notes], found.layers)
