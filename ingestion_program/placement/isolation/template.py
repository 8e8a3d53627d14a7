"""A process that has met no policy yet, from which the processes of all policies are forked."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from . import protocol, sandbox

PACKAGE_FOLDER = Path(__file__).resolve().parents[2]
# The package's folder leaves the path again: beside the package lie files that are not for policies.
BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]);"
    "from placement.isolation.forking import main; del sys.path[0]; main(int(sys.argv[1]))"
)
# Elsewhere libraries may not survive a fork, and the fork of a fork stays a stranger: every case has its own template.
FORKS = sys.platform == "linux"
PR_SET_CHILD_SUBREAPER = 36
POLL_SECONDS = 0.001
CHUNK = 64 * 1024
# How many threads wait for a fork.
LOCK, ADOPTERS = threading.Lock(), [0]


class Child(Protocol):
    """The process of a policy; all as of subprocess.Popen."""

    pid: int
    returncode: int | None

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once the process has ended. Raises subprocess.TimeoutExpired."""


class Template:
    """A process that forks: `begin` starts Python and numpy while the caller goes on, `close` ends it, and no fork."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Template:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def begin(self) -> None:
        """Begin to start the process, unless it is there. Raises OSError."""
        if self._process:
            return
        libraries = json.dumps([str(PACKAGE_FOLDER), *sandbox.libraries()])
        with ExitStack() as held:
            self._control, control = map(held.enter_context, socket.socketpair())
            said, output = os.pipe()
            self._said = held.enter_context(os.fdopen(said, "rb", buffering=0))
            with control, os.fdopen(output, "wb", buffering=0) as streams:
                self._process = subprocess.Popen(
                    [sys.executable, "-B", "-u", "-c", BOOT, str(control.fileno()), libraries],
                    stdin=subprocess.DEVNULL,
                    stdout=streams,
                    stderr=streams,
                    pass_fds=(control.fileno(),),
                    # No such folder: each fork names its scratch folder there.
                    env=sandbox.environment(Path(os.devnull)),
                    cwd="/",
                    start_new_session=True,
                )
            self._held = held.pop_all()

    def fork(self, descriptors: Sequence[int], seconds: float) -> Child:
        """A process for a policy, a child of this one, with the descriptors of its requests, answers and output.

        Where nothing forks it is the template itself, in whose place another one begins. Raises OSError, TemplateEnded,
        and TimeoutError when the template is not ready in so many seconds: the next call begins another one.
        """
        self.begin()
        process = self._process
        with suppress(BrokenPipeError, ConnectionResetError), _adopting():
            socket.send_fds(self._control, [protocol.encode({"fork": FORKS})], descriptors)
            if not FORKS:
                self._forget()
                return process
            self._control.settimeout(max(seconds, POLL_SECONDS))
            return Fork(protocol.integer(protocol.decode(self._read), "process"))
        raise TemplateEnded(process.wait(), self._said.read(CHUNK).decode("utf-8", "replace"))

    def close(self) -> None:
        """End the process."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._forget()

    def _forget(self) -> None:
        self._process = None
        self._held.close()

    def _read(self, count: int) -> bytes:
        try:
            # The answer is written at once, and is there as a whole.
            data = self._control.recv(count, socket.MSG_WAITALL)
        except TimeoutError:
            # An answer that comes later would be taken for the next one's.
            self.close()
            raise TimeoutError("no answer in time") from None
        if len(data) < count:
            raise ConnectionResetError
        return data


class TemplateEnded(Exception):
    """It has an exit code, said something, and forks no more."""

    def __init__(self, exit_code: int, said: str) -> None:
        super().__init__(exit_code, said)
        self.exit_code, self.said = exit_code, said


class Fork:
    """A child of this process's that another one has forked."""

    def __init__(self, process: int) -> None:
        self.pid = process
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        until = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            process, status = os.waitpid(self.pid, 0 if until is None else os.WNOHANG)
            if process:
                self.returncode = os.waitstatus_to_exitcode(status)
            elif time.monotonic() >= until:
                raise subprocess.TimeoutExpired("a policy", timeout)
            else:
                time.sleep(POLL_SECONDS)
        return self.returncode


@contextmanager
def _adopting() -> Iterator[None]:
    """Become the parent of forks' forks, and of no other orphan before or after; several threads may at a time."""
    _adopt(1)
    try:
        yield
    finally:
        _adopt(-1)


def _adopt(change: int) -> None:
    with LOCK:
        ADOPTERS[0] += change
        if FORKS:
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(ADOPTERS[0] > 0), 0, 0, 0)
