"""The simulator's side of the boundary: one isolated process per case, under limits by this side's clock."""

from __future__ import annotations

import math
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..answer import Redeployment
from ..errors import PolicyError
from ..grid import Case, Grid
from . import failures, protocol, sandbox, stack
from .handover import share_table
from .look import look
from .messages import read_answer, read_header
from .neighbours import Neighbours
from .printed import Printed
from .scratch import Scratch
from .template import Child, TemplateEnded
from .usage import peak_memory, seconds_and_threads

# How often the scratch folder and the threads are counted while an answer is waited for.
LOOK_SECONDS = 0.2
# A machine that needs longer to start Python and to isolate the process is out of order.
ISOLATED_SECONDS = 60.0


class PolicyProcess:
    """A policy in a fresh process; use as a context manager, so that it is killed and reaped.

    Every method raises PolicyError when the policy breaks a rule or a limit. `seconds` is how long this side
    waited for the start, once isolated, and for each call, `log` what the policy printed, `layers` what isolates it.
    """

    def __init__(self, folder: Path, case: Case, neighbours: Neighbours, grid: Grid, grid_deadline: float) -> None:
        """folder: holds policy.py; neighbours: of the case's trace; grid_deadline: on time.monotonic()'s clock."""
        self.seconds: list[float] = []
        self.layers: list[str] = []
        self._case, self._neighbours, self._limits = case, neighbours, grid.limits
        self._required, self._hidden, self._grid_deadline = grid.sandbox == "required", grid.hidden, grid_deadline
        self._printed, self._trace_lines = Printed(grid.limits.log_bytes), ""
        self._process: Child | None = None
        # Nothing is looked at before the process is isolated: until then the machine is to blame.
        self._next_look = math.inf
        self._start_message = {
            "folder": str(folder.resolve()),
            "case": asdict(case) | {"model": "", "dataset": ""},
            "cost": asdict(grid.cost),
            "memory_bytes": grid.limits.memory_bytes,
            "cpu_seconds": grid.limits.case_seconds,
        }

    def __enter__(self) -> PolicyProcess:
        self._scratch = Scratch()
        self._requests, child_requests = socket.socketpair()
        self._requests.setblocking(False)
        self._answers, child_answers = os.pipe()
        self._output, child_output = os.pipe()
        self._its_ends = [child_requests.detach(), child_answers, child_output]
        self._selector = selectors.DefaultSelector()
        for descriptor in (self._answers, self._output):
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ)
        self._neighbours.join()
        return self

    def __exit__(self, *exception: object) -> None:
        self._close_its_ends()
        if self._process:
            self._signal(signal.SIGKILL)
            self._process.wait()
            os.close(self._maps)
        self._neighbours.leave(self._process and self._process.pid)
        for _ in range(2):
            self._read_output()
        self._selector.close()
        self._requests.close()
        for descriptor in (self._answers, self._output):
            os.close(descriptor)
        self._scratch.remove()

    @property
    def log(self) -> str:
        """What the policy printed, without the name of its copy's folder, and the lines that led to its exception."""
        printed = self._printed.text.replace(f"{self._start_message['folder']}/", "")
        return "\n".join(part for part in (printed, self._trace_lines) if part)

    @property
    def memory_bytes(self) -> int:
        """The most memory that the process had so far, as its limit counts it; 0 where the system does not tell."""
        return peak_memory(self._process.pid)

    def start(self) -> str:
        """Isolate the process, import the policy and return its form.

        Raises OrganizerError for what goes wrong before that, and where the grid requires a layer that is missing.
        """
        try:
            self.layers = self._isolate()
            self._next_look = 0.0
            if self._required:
                failures.check_layers(self.layers)
            with self._limited("start_seconds"):
                return protocol.text(read_header(self._read, self._limits), "form")
        except PolicyError as error:
            raise error.at("start") from None

    def rebalance(self, start: int, stop: int, deployment: np.ndarray, iteration: int) -> Redeployment | None:
        """One call, as placement.replay.Rebalance; the answer's shapes are checked, its content is not."""
        shared = self._neighbours.window(start, stop), share_table(deployment)
        try:
            with self._limited("call_seconds"):
                self._ask({"iteration": iteration}, shared)
                return read_answer(self._read, self._case, self._limits, iteration)
        finally:
            for descriptor in shared:
                os.close(descriptor)

    @contextmanager
    def _limited(self, limit: str) -> Iterator[None]:
        """Let the process run, within the deadline of what is asked inside; book the seconds."""
        began, computed = time.monotonic(), seconds_and_threads(self._process.pid)[0]
        first, self._deadline = self._limits.first_over(limit, began, sum(self.seconds), self._grid_deadline)
        self._scratch.open()
        self._signal(signal.SIGCONT)
        try:
            yield
            # The last look of a call: nothing happens between it and the stop.
            self._check_usage()
        except TimeoutError:
            computed = seconds_and_threads(self._process.pid)[0] - computed
            raise failures.late(first, self._limits, computed, self._place()) from None
        except protocol.MalformedMessage as error:
            raise failures.malformed(error) from None
        except PolicyError as error:
            if error.status == "crashed" or not self._hidden:
                self._trace_lines = error.trace or self._trace_lines
            raise
        finally:
            # Between its calls a policy does not run: all its work counts.
            self._signal(signal.SIGSTOP)
            self._scratch.shut()
            self.seconds.append(time.monotonic() - began)

    def _signal(self, number: int) -> None:
        # Both: where calls are not filtered, a policy may have left its group, or have put others into it.
        for send in (os.killpg, os.kill):
            with suppress(ProcessLookupError, PermissionError):
                send(self._process.pid, number)

    def _isolate(self) -> list[str]:
        # The layers are sent before anything of the submission is imported: until then the machine is to blame.
        self._deadline = min(time.monotonic() + ISOLATED_SECONDS, self._grid_deadline)
        try:
            self._fork()
            told = {"scratch": str(self._scratch.folder), "iterations": self._neighbours.trace.iterations}
            self._ask(self._start_message | told, [])
            return protocol.texts(read_header(self._read, self._limits), "layers")
        except (PolicyError, protocol.MalformedMessage, TimeoutError) as error:
            if isinstance(error, TimeoutError) and self._deadline == self._grid_deadline:
                raise failures.late("grid_seconds", self._limits) from None
            self._read_output()
            raise failures.cannot_start(error, self.log, ISOLATED_SECONDS) from None
        except TemplateEnded as error:
            ended = failures.ended(error.exit_code, 0.0, self._limits)
            raise failures.cannot_start(ended, error.said.rstrip("\n"), ISOLATED_SECONDS) from None

    def _fork(self) -> None:
        seconds = self._deadline - time.monotonic()
        self._process = self._neighbours.fork(self._its_ends, seconds)
        self._close_its_ends()
        self._maps = sandbox.hold_maps(self._process.pid)

    def _close_its_ends(self) -> None:
        while self._its_ends:
            os.close(self._its_ends.pop())

    def _check_usage(self) -> None:
        """Hold what the operating system does not, and leave the process stopped. Raises PolicyError."""
        excess = look(self._process.pid, self._signal, self._scratch)
        excess = excess or self._neighbours.excess(self._process.pid, self._limits.trace_memory_bytes)
        self._next_look = time.monotonic() + LOOK_SECONDS
        if excess:
            raise failures.too_much(*excess)

    def _place(self) -> str:
        """Where in its own files the policy is; its whole stack goes to the log. Nothing of hidden traces."""
        self._read_output()
        found = [] if self._hidden else stack.ask(self._process.pid, self._output, Path(self._start_message["folder"]))
        self._trace_lines = stack.lines(found)
        return found[0] if found else ""

    def _ask(self, message: dict, descriptors: Sequence[int]) -> None:
        """Send a request, with descriptors beside it; nothing may have been answered before it."""
        data = protocol.encode(message)
        with suppress(BlockingIOError):
            if os.read(self._answers, 1):
                raise protocol.MalformedMessage("an answer before its request")
            raise self._ended()
        try:
            # A request is far smaller than a socket's buffer: only a policy that does not read can fill it.
            if socket.send_fds(self._requests, [data], descriptors) != len(data):
                raise BlockingIOError
        except BlockingIOError:
            raise protocol.MalformedMessage("requests are not read") from None
        except (BrokenPipeError, ConnectionResetError):
            raise self._ended() from None

    def _read(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            if time.monotonic() >= self._next_look:
                self._check_usage()
                self._signal(signal.SIGCONT)
            # After the look, which takes its time: no answer counts that comes late.
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no answer in time")
            for key, _ in self._selector.select(min(left, LOOK_SECONDS)):
                if key.fd == self._output:
                    self._read_output()
                    continue
                chunk = os.read(self._answers, count - len(data))
                if not chunk:
                    raise self._ended()
                data += chunk
        return bytes(data)

    def _read_output(self) -> None:
        if not self._printed.take(self._output) and self._output in self._selector.get_map():
            self._selector.unregister(self._output)

    def _ended(self) -> PolicyError:
        # Before it is reaped, a process that has ended still tells.
        seconds = seconds_and_threads(self._process.pid)[0]
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)
        return failures.ended(self._process.returncode, seconds, self._limits)
