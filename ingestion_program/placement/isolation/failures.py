"""Errors for what goes wrong with a policy's process, as the simulator sees it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import Any

from ..errors import OrganizerError, PolicyError
from ..grid import Limits
from . import protocol, sandbox

EXPECTED_WITHIN = {
    "start_seconds": "policy.py imported and ready",
    "call_seconds": "an answer to every call",
    "case_seconds": "start and all calls of a case together",
    "grid_seconds": "all cases of the grid",
}
FASTER = "make the policy faster; kit.py profile shows where the seconds of a call go"
# Below this share of a limit, a policy that was late did not compute.
IDLE_SHARE = 0.5
IDLE = "find out what the policy waits for; if the machine was busy with other work, run again"
LESS_DATA = "keep less data"
LESS = "keep fewer arrays, start fewer threads, or write fewer and smaller files"


def late(limit: str, limits: Limits, computed: float | None = None, place: str = "") -> PolicyError:
    """The error for an answer that comes after a limit; limit: its name in Limits.

    computed: processor seconds of the call that was ended; place: where the policy was at that time, if known.
    """
    seconds = getattr(limits, limit)
    got = f"no answer within {seconds:g} s ({limit})"
    idle = limit in ("start_seconds", "call_seconds") and computed is not None and computed < IDLE_SHARE * seconds
    got += f", in which the policy used {computed:.1f} s of processor time" if idle else ""
    got += f"; the policy was at {place}" if place else ""
    return PolicyError("timeout", "the policy took too long", got, EXPECTED_WITHIN[limit], IDLE if idle else FASTER)


def ended(exit_code: int | None, processor_seconds: float, limits: Limits) -> PolicyError:
    """The error for a process that ended after so many processor seconds, or (exit_code None) closed its answer
    pipe.
    """
    spent = processor_seconds >= limits.case_seconds
    if exit_code == -signal.SIGXCPU or (exit_code == -signal.SIGKILL and spent):
        got = f"more than {limits.case_seconds:g} s of processor time in all threads (case_seconds)"
        return PolicyError("timeout", "the policy took too long", got, EXPECTED_WITHIN["case_seconds"], FASTER)
    names = {number.value: number.name for number in signal.Signals}
    got = "a closed answer pipe" if exit_code is None else f"exit code {exit_code}"
    if exit_code is not None and exit_code < 0:
        got = f"signal {names.get(-exit_code, -exit_code)}"
    return PolicyError(
        "crashed",
        "the policy's process ended",
        got=got,
        expected="an answer",
        next_step="remove calls that end the process; a signal comes from native code or from too little memory",
    )


def cannot_start(error: Exception, log: str, seconds: float) -> OrganizerError:
    """The error for a process that ended, broke the protocol or was late before it imported the submission."""
    got = error.got if isinstance(error, PolicyError) else str(error)
    return OrganizerError(
        "a process for the policy cannot be started on this machine",
        got=f"{got}: {log[-500:]}" if log else got,
        expected=f"Python with numpy, started with few environment variables within {seconds:g} s",
        next_step=f"free processes and memory, or try {sys.executable} -c 'import numpy' in an empty environment",
        where="sandbox",
    )


def check_layers(layers: Sequence[str]) -> None:
    """Raise OrganizerError when the machine lacks a layer of isolation that a grid can require."""
    missing = [layer for layer in sandbox.REQUIRED_LAYERS if layer not in layers]
    if not missing:
        return
    raise OrganizerError(
        "this machine cannot isolate a policy as the grid requires",
        got=f"no {', '.join(missing)}",
        expected=f"{', '.join(sandbox.REQUIRED_LAYERS)}: a Linux kernel with Landlock and seccomp",
        next_step="use a machine that has them, or set the grid's sandbox to best_effort",
        where="sandbox",
    )


def too_much(got: str, expected: str) -> PolicyError:
    """The error for a process that used too much of something that the operating system does not limit."""
    return PolicyError("out_of_memory", "the policy used too much of the machine", got, expected, LESS)


def malformed(error: protocol.MalformedMessage) -> PolicyError:
    """The error for data in the answer pipe that is not an answer."""
    return PolicyError(
        "crashed",
        "the policy's process broke the protocol",
        got=str(error),
        expected="only answers on the answer pipe",
        next_step="do not use descriptors that the policy did not open",
    )


def problem(header: dict[str, Any], limits: Limits) -> PolicyError:
    """The error that the process itself reports. Raises MalformedMessage."""
    status = header.get("status")
    if status not in PolicyError.STATUSES:
        raise protocol.MalformedMessage("a problem of no known status")
    expected, next_step = {
        "out_of_memory": (f"at most {limits.memory_bytes} bytes", LESS_DATA),
        "crashed": ("an answer", "correct the line named above and try again"),
    }.get(status, ("", ""))
    error = PolicyError(
        status,
        protocol.text(header, "what"),
        got=protocol.text(header, "got"),
        expected=protocol.text(header, "expected") or expected,
        next_step=protocol.text(header, "next") or next_step,
    )
    trace = header.get("trace")
    error.trace = protocol.printable(trace[: protocol.LONGEST_TRACE]) if isinstance(trace, str) else ""
    return error
