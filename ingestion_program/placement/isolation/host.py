"""The policy's side of the boundary: run as a program, it loads policy.py and answers requests."""

from __future__ import annotations

import errno
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import PolicyError
from ..grid import Case, Cost
from . import protocol, sandbox, stack
from .exception_steps import next_step
from .exception_text import describe, own_lines, readable
from .handover import receive
from .interface import load_policy, policy_case


def main(request_fd: int, answer_fd: int) -> None:
    """Serve one case until the parent closes the requests: a start message, then one message per call."""
    requests = socket.socket(fileno=request_fd)
    start, _ = receive_request(requests, 0)
    folder = Path(start["folder"])
    case, cost = Case(**start["case"]), Cost(**start["cost"])
    scratch = Path(start["scratch"])
    os.environ.update(sandbox.environment(scratch))
    layers = sandbox.enter(folder, scratch, start["memory_bytes"], start["cpu_seconds"])
    stack.answer_signal()
    _send(answer_fd, {"kind": "isolated", "layers": layers})
    try:
        os.chdir(folder)
        form, policy, _ = load_policy(folder, policy_case(case, cost, start["iterations"]))
        _send(answer_fd, {"kind": "ready", "form": form})
        while True:
            request, descriptors = receive_request(requests, 2)
            hotness, deployment = receive(case, *descriptors)
            answer = policy(hotness, deployment, request["iteration"])
            _answer(answer_fd, answer, request["iteration"])
            # Kept windows belong to the policy; the host must not hold one more.
            del hotness, deployment, answer
    except BaseException as error:
        _send(answer_fd, _problem(error, folder))


def _answer(answer_fd: int, answer: tuple[np.ndarray, np.ndarray] | None, iteration: int) -> None:
    if answer is None:
        return _send(answer_fd, {"kind": "keep", "iteration": iteration})
    priority, table = answer
    # A table of many dimensions would not fit a header; the parent refuses more than three anyway.
    sizes = {"priority": len(priority), "table": list(table.shape[:8])}
    _send(answer_fd, {"kind": "redeploy", "iteration": iteration} | sizes)
    for part in (priority, table):
        protocol.write_all(answer_fd, part.astype("<i8").tobytes())


def _problem(error: BaseException, folder: Path) -> dict[str, Any]:
    # mmap reports used-up memory as an OSError.
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        sandbox.free_report_memory()
        report = _report("out_of_memory", "the policy ran out of memory", describe(error, folder))
        return report | _trace(error, folder)
    if isinstance(error, PolicyError):
        return _report(error.status, error.what, error.got, error.expected, error.next_step)
    what, expected = "the policy raised an exception", ""
    if isinstance(error, SyntaxError):
        what, expected = "the policy cannot be loaded", "what Python {}.{} can read".format(*sys.version_info)
    report = _report("crashed", what, describe(error, folder), expected)
    # A deep or strange exception need not have attributes and a traceback that can be shown.
    with suppress(Exception):
        report["next"] = next_step(error)
    return report | _trace(error, folder)


def _trace(error: BaseException, folder: Path) -> dict[str, str]:
    with suppress(Exception):
        return {"trace": own_lines(error, folder)[-protocol.LONGEST_TRACE :]}
    return {}


def _report(status: str, what: str, got: str, expected: str = "", next_step: str = "") -> dict[str, Any]:
    # A policy may raise a PolicyError of its own, with anything in it.
    texts = {"status": status, "what": what, "got": got, "expected": expected, "next": next_step}
    return {"kind": "problem"} | {key: readable(text)[: protocol.LARGEST_TEXT] for key, text in texts.items()}


def receive_request(requests: socket.socket, most: int) -> tuple[dict[str, Any], list[int]]:
    """The next request, with at most so many descriptors; the process ends where none comes any more."""
    # Descriptors travel with the first byte of their request.
    received, descriptors, _, _ = socket.recv_fds(requests, protocol.LENGTH.size, most)
    data = bytearray(received)

    def read(count: int) -> bytes:
        while len(data) < count and (part := requests.recv(count - len(data))):
            data.extend(part)
        if len(data) < count:
            # The case is over, or the parent is gone: leave without running the policy's exit hooks.
            os._exit(0)
        part = bytes(data)
        data.clear()
        return part

    return protocol.decode(read), descriptors


def _send(answer_fd: int, header: dict[str, Any]) -> None:
    protocol.write_all(answer_fd, protocol.encode(header))
