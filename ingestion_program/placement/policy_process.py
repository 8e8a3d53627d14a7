"""The simulator's side of the boundary: one policy process per case, under limits by this side's clock."""

from __future__ import annotations

import json
import mmap
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

from . import protocol, sandbox
from .answer import Redeployment, check_shapes
from .errors import PolicyError
from .grid import Case, Grid
from .policy_host import layout
from .trace import Trace

PACKAGE_FOLDER = Path(__file__).resolve().parent.parent
BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[3]);"
    "from placement.policy_host import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)
OUTPUT_CHUNK = 64 * 1024
EXPECTED_WITHIN = {
    "start_seconds": "policy.py imported and ready",
    "call_seconds": "an answer to every call",
    "case_seconds": "start and all calls of a case together",
    "grid_seconds": "all cases of the grid",
}


class PolicyProcess:
    """A policy in a fresh process; use as a context manager, so that it is killed and reaped.

    Every method raises PolicyError when the policy breaks a rule or a limit. `seconds` is how long this side
    waited for the start and for each call, `log` what the policy printed.
    """

    def __init__(self, folder: Path, case: Case, trace: Trace, grid: Grid, grid_deadline: float) -> None:
        """folder: holds policy.py; grid_deadline: on time.monotonic()'s clock."""
        self.seconds: list[float] = []
        self._case, self._trace, self._limits = case, trace, grid.limits
        self._grid_deadline = grid_deadline
        self._log = bytearray()
        self._start_message = {
            "folder": str(folder.resolve()),
            "case": asdict(case) | {"model": "", "dataset": ""},
            "cost": asdict(grid.cost),
            "iterations": trace.iterations,
            "memory_bytes": grid.limits.memory_bytes,
        }

    def __enter__(self) -> PolicyProcess:
        self._requests, child_requests = socket.socketpair()
        self._answers, child_answers = os.pipe()
        self._output, child_output = os.pipe()
        self._requests.setblocking(False)
        libraries = [str(PACKAGE_FOLDER)] + [p for p in sys.path if p and Path(p).resolve() != PACKAGE_FOLDER]
        arguments = [str(child_requests.fileno()), str(child_answers), json.dumps(libraries)]
        self._process = subprocess.Popen(
            [sys.executable, "-B", "-u", "-c", BOOT, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=child_output,
            stderr=child_output,
            pass_fds=(child_requests.fileno(), child_answers),
            env=sandbox.environment(),
            cwd="/",
            start_new_session=True,
        )
        child_requests.close()
        os.close(child_answers)
        os.close(child_output)
        self._selector = selectors.DefaultSelector()
        for descriptor in (self._answers, self._output):
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ)
        return self

    def __exit__(self, *exception: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for _ in range(2):
            self._read_output()
        self._selector.close()
        self._requests.close()
        os.close(self._answers)
        os.close(self._output)

    @property
    def log(self) -> str:
        """What the policy printed, printable, cut at the limit."""
        text = protocol.printable(self._log[: self._limits.log_bytes].decode("utf-8", "replace"))
        cut = f"\n[cut at {self._limits.log_bytes} bytes]" if len(self._log) > self._limits.log_bytes else ""
        return text.rstrip("\n") + cut

    def start(self) -> str:
        """Import the policy and return its form."""
        try:
            with self._limited("start_seconds"):
                return protocol.text(self._ask(self._start_message, []), "form")
        except PolicyError as error:
            raise error.at("start") from None

    def rebalance(self, start: int, stop: int, deployment: np.ndarray, iteration: int) -> Redeployment | None:
        """One call, as placement.replay.Rebalance; the answer's shapes are checked, its content is not."""
        descriptor = self._share(start, stop, deployment)
        try:
            with self._limited("call_seconds"):
                header = self._ask({"iteration": iteration}, [descriptor])
                return None if header.get("kind") == "keep" else self._read_redeployment(header)
        finally:
            os.close(descriptor)

    @contextmanager
    def _limited(self, limit: str) -> Iterator[None]:
        """Set the deadline of what is asked inside, book the seconds, and name broken messages."""
        began = time.monotonic()
        ends = {
            limit: began + getattr(self._limits, limit),
            "case_seconds": began + self._limits.case_seconds - sum(self.seconds),
            "grid_seconds": self._grid_deadline,
        }
        self._deadline_name = min(ends, key=ends.__getitem__)
        self._deadline = ends[self._deadline_name]
        try:
            yield
        except protocol.MalformedMessage as error:
            raise self._malformed(error) from None
        finally:
            self.seconds.append(time.monotonic() - began)

    def _share(self, start: int, stop: int, deployment: np.ndarray) -> int:
        window_bytes, table_bytes = layout(self._case)
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("window", os.MFD_CLOEXEC)
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, window_bytes + table_bytes)
        with mmap.mmap(descriptor, window_bytes + table_bytes) as memory:
            shape = (stop - start, self._trace.layers, self._trace.experts)
            window = np.frombuffer(memory, np.int32, count=int(np.prod(shape))).reshape(shape)
            self._trace.window(start, stop, out=window)
            memory[window_bytes:] = deployment.astype("<i8").tobytes()
            del window
        return descriptor

    def _ask(self, message: dict, descriptors: list[int]) -> dict:
        """Send a request, with descriptors beside it, and read the answer's header."""
        data = protocol.encode(message)
        try:
            # A request is far smaller than a socket's buffer: only a policy that does not read can fill it.
            if socket.send_fds(self._requests, [data], descriptors) != len(data):
                raise BlockingIOError
        except BlockingIOError:
            raise protocol.MalformedMessage("requests are not read") from None
        except (BrokenPipeError, ConnectionResetError):
            raise self._ended() from None
        header = protocol.decode(self._read)
        if header.get("kind") == "problem":
            raise self._problem(header)
        return header

    def _read_redeployment(self, header: dict) -> Redeployment:
        if header.get("kind") != "redeploy" or not isinstance(header.get("table"), list):
            raise protocol.MalformedMessage("an answer of no known kind")
        priority_length = protocol.integer(header, "priority")
        shape = tuple(protocol.integer({"size": size}, "size") for size in header["table"][:9])
        check_shapes(priority_length, shape, self._case)
        priority = np.frombuffer(self._read(8 * priority_length), "<i8").astype(np.int64)
        table = np.frombuffer(self._read(8 * int(np.prod(shape))), "<i8").astype(np.int64).reshape(shape)
        return priority, table

    def _read(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise self._late()
            for key, _ in self._selector.select(left):
                if key.fd == self._output:
                    self._read_output()
                    continue
                chunk = os.read(self._answers, count - len(data))
                if not chunk:
                    raise self._ended()
                data += chunk
        return bytes(data)

    def _read_output(self) -> None:
        """Take one pipe's worth of what the policy printed; beyond the limit it is dropped."""
        try:
            chunk = os.read(self._output, OUTPUT_CHUNK)
        except BlockingIOError:
            return
        self._log += chunk[: max(0, self._limits.log_bytes + 1 - len(self._log))]
        if not chunk and self._output in self._selector.get_map():
            self._selector.unregister(self._output)

    def _late(self) -> PolicyError:
        seconds = getattr(self._limits, self._deadline_name)
        return PolicyError(
            "timeout",
            "the policy took too long",
            got=f"no answer within {seconds:g} s ({self._deadline_name})",
            expected=EXPECTED_WITHIN[self._deadline_name],
            next_step="make it faster; kit.py check shows how many seconds a call takes",
        )

    def _ended(self) -> PolicyError:
        try:
            code = self._process.wait(timeout=1)
            names = {number.value: number.name for number in signal.Signals}
            got = f"signal {names.get(-code, -code)}" if code < 0 else f"exit code {code}"
        except subprocess.TimeoutExpired:
            got = "a closed answer pipe"
        return PolicyError(
            "crashed",
            "the policy's process ended",
            got=got,
            expected="an answer",
            next_step="remove exits from the policy; a signal comes from native code or from memory",
        )

    def _malformed(self, error: protocol.MalformedMessage) -> PolicyError:
        return PolicyError(
            "crashed",
            "the policy's process broke the protocol",
            got=str(error),
            expected="only answers on the answer pipe",
            next_step="do not use descriptors that the policy did not open",
        )

    def _problem(self, header: dict) -> PolicyError:
        status = header.get("status")
        if status not in PolicyError.STATUSES:
            raise protocol.MalformedMessage("a problem of no known status")
        default = {
            "out_of_memory": (f"at most {self._limits.memory_bytes} bytes", "keep less data"),
            "crashed": ("an answer", "mend the line named above and try again with kit.py check"),
        }.get(status, ("", ""))
        return PolicyError(
            status,
            protocol.text(header, "what"),
            got=protocol.text(header, "got"),
            expected=protocol.text(header, "expected") or default[0],
            next_step=protocol.text(header, "next") or default[1],
        )
