"""How the scoring program ends when it is interrupted, or when standard output is closed."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import TracebackType
from typing import NoReturn

from .problems import FileError

INTERRUPTED = 130
BEGINS = "Expected: memory, numpy, pandas and PyYAML. Next: free memory, or install them."
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]


def begin() -> None:
    """Make SIGNALS and a failing import end the program with a sentence. Called before everything else.

    A file that is half written is removed.
    """
    # Nothing here needs threads of a library, and half of them, without memory for all, hang.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    def end(*signal_and_frame: object) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        with suppress(OSError):
            os.write(1, b"scoring: interrupted, there is no score\n")
        raise SystemExit(INTERRUPTED)

    for number in SIGNALS:
        if number.name != "SIGHUP" or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)

    def failed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, (ImportError, MemoryError, OSError)):
            sys.__excepthook__(kind, error, trace)
        # numpy's own advice, which comes last, is about other mistakes.
        while error.__context__:
            error = error.__context__
        reason = str(error).strip().partition("\n")[0]
        say_error(
            f"scoring: the program cannot begin. Got: {type(error).__name__}{': ' * bool(reason)}{reason}. {BEGINS}"
        )
        # Without memory, libraries that are half loaded would keep Python from ending in its usual way.
        os._exit(2)

    sys.excepthook = failed


def leave(code: int | str | None) -> NoReturn:
    """End at once with an exit code. Libraries' clean-up at Python's end could hang when memory is short."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code if isinstance(code, int) else 0)


def say(text: str) -> None:
    """Print a line, with escapes for characters that standard output cannot encode.

    Raises FileError when standard output does not take the line, and at every later call.
    """
    try:
        if sys.stdout is None:
            raise OSError("it is closed")
        encoding = sys.stdout.encoding or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except OSError as error:
        _close_output()
        raise FileError(
            "data_unavailable",
            "standard output",
            "takes no more text",
            f"{type(error).__name__}: {error}",
            "a terminal, a file on a disk with room, or a program that reads to the end",
            "repeat the command with another standard output",
        ) from None


def _close_output() -> None:
    # What is left in the stream would be tried again at Python's end.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    sys.stdout = None


def say_error(text: str) -> None:
    """Print a line to standard error; do nothing when standard error is closed."""
    with suppress(OSError, ValueError):
        print(text.encode("ascii", "backslashreplace").decode("ascii"), file=sys.stderr, flush=True)
