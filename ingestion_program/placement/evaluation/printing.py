"""Standard output and error, where they may be closed, full, or read by nobody any more."""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Callable
from typing import NoReturn, TextIO

from ..errors import OrganizerError
from .interruption import INTERRUPTED, end_processes
from .machine import lack

NO_MACHINE = 2


class CannotPrint(Exception):
    """Standard output takes no more. Raised once: what is printed afterwards is gone. `problem` says why."""

    def __init__(self, error: OSError) -> None:
        self.problem = OrganizerError(
            "what is printed cannot be written to standard output",
            got=f"{type(error).__name__}: {error}",
            expected="a terminal, a file on a disk with room, or a program that reads to the end",
            next_step="repeat the command with another standard output",
        )
        super().__init__(str(self.problem))


def run_program(main: Callable[[], int], name: str) -> NoReturn:
    """Run a program and end with its exit code; where it cannot print, and where it is interrupted, with a sentence.

    It ends at once, with all its processes: what libraries do at Python's end may take for ever without memory.
    """
    sys.excepthook = sys.__excepthook__
    open_streams()
    try:
        try:
            code = main()
        except SystemExit as ended:
            # argparse's.
            code = ended.code
        sys.stdout.flush()
    except CannotPrint as error:
        print(f"{name}: {error}", file=sys.stderr)
        code = NO_MACHINE
    except KeyboardInterrupt:
        print(f"{name}: interrupted", flush=True)
        code = INTERRUPTED
    except MemoryError as error:
        print(f"{name}: {lack(error)}", file=sys.stderr)
        code = NO_MACHINE
    sys.stderr.flush()
    end_processes()
    os._exit(code)


def open_streams() -> None:
    """Have print raise CannotPrint where standard output fails; what standard error does not take is left out.

    Characters that a stream's encoding lacks are escaped: no text of a policy's may break a log.
    """
    if os.name != "posix":
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(errors="backslashreplace")
        return
    # A file that is opened later must not get the number of one that is closed. To this one nothing can be written.
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) <= 2:
        pass
    os.close(descriptor)
    sys.stdout, sys.stderr = _stream(sys.stdout, 1, _cannot_print), _stream(sys.stderr, 2, _leave_out)


class _Descriptor(io.FileIO):
    """The descriptor of a stream; an error of the system's is given to `failed`, and the stream then leads nowhere."""

    def __init__(self, descriptor: int, failed: Callable[[OSError], None]) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._failed = failed

    def write(self, data: bytes) -> int:
        try:
            while (written := super().write(data)) is None:
                # Somebody has set the terminal to take what it can at once.
                select.select([], [self], [])
            return written
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            self._failed(error)
            return len(data)


def _stream(stream: TextIO | None, descriptor: int, failed: Callable[[OSError], None]) -> TextIO:
    raw = _Descriptor(descriptor, failed)
    encoding = stream.encoding if stream else "utf-8"
    lines = raw.isatty() or descriptor == 2
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=lines)


def _cannot_print(error: OSError) -> None:
    raise CannotPrint(error) from None


def _leave_out(error: OSError) -> None:
    pass
