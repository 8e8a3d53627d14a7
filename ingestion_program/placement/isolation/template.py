"""A process that has met no policy yet, from which the processes of a trace's policies are forked."""

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
from contextlib import contextmanager, suppress
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
    """Starts Python and imports numpy while the caller goes on; `close` ends it, and none of its forks."""

    def __init__(self) -> None:
        self._control, control = socket.socketpair()
        self._output, output = os.pipe()
        libraries = json.dumps([str(PACKAGE_FOLDER), *sandbox.libraries()])
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-B", "-u", "-c", BOOT, str(control.fileno()), libraries],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(control.fileno(),),
                # No such folder: each fork is told its scratch folder.
                env=sandbox.environment(Path(os.devnull)),
                cwd="/",
                start_new_session=True,
            )
        except BaseException:
            self._control.close()
            os.close(self._output)
            raise
        finally:
            control.close()
            os.close(output)

    def fork(self, scratch: Path, descriptors: Sequence[int], seconds: float) -> Child:
        """A process for a policy, a child of this one, with the descriptors of its requests, answers and output.

        Where nothing forks it is the template itself, which forks no other. Raises TimeoutError, when the template is
        not ready in so many seconds, and TemplateEnded.
        """
        request = {"environment": sandbox.environment(scratch), "fork": FORKS}
        with suppress(BrokenPipeError, ConnectionResetError), _adopting():
            socket.send_fds(self._control, [protocol.encode(request)], descriptors)
            if not FORKS:
                return self._process
            self._control.settimeout(max(seconds, POLL_SECONDS))
            return Fork(protocol.integer(protocol.decode(self._read), "process"))
        exit_code = self._process.wait()
        raise TemplateEnded(exit_code, os.read(self._output, CHUNK).decode("utf-8", "replace"))

    def close(self) -> None:
        """End the process, unless it is a policy's."""
        self._control.close()
        os.close(self._output)
        if FORKS:
            self._process.kill()
            self._process.wait()

    def _read(self, count: int) -> bytes:
        try:
            # The answer is written at once, and is there as a whole.
            data = self._control.recv(count, socket.MSG_WAITALL)
        except TimeoutError:
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
