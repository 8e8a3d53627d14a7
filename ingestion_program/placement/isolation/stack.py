"""Where a policy is when its time is over: its process is asked by a signal, and writes its stack to what it prints.

faulthandler answers from within the kernel's signal, so also in the middle of a computation in C that holds the
interpreter. The answer is a text that nobody trusts: a policy can forge it, as it can print anything.
"""

from __future__ import annotations

import faulthandler
import os
import re
import selectors
import signal
import time
from contextlib import suppress
from pathlib import Path

from .protocol import LONGEST_TRACE, printable
from .sandbox import stop_writing

SIGNAL = signal.SIGUSR1
STANDARD_ERROR = 2
# How long an answer is waited for, after the limit: the process is then ended, answer or not.
SECONDS = 0.5
# A pipe's worth of what was printed before, and a hundred frames, the most that are written.
LARGEST_BYTES = 256 * 1024
LONGEST_PLACE = 200
FRAME = re.compile(rb'^  File "(?P<file>.+)", line (?P<line>\d{1,9}) in (?P<name>.+)$', re.MULTILINE)
# The outermost frame is the command that started the process; of a deeper stack the rest is left out.
END = re.compile(rb'^  (\.\.\.|File "<string[^"\n]*", line \d+ in <module>)\n', re.MULTILINE)


def answer_signal() -> None:
    """Have the calling process write the stack of its main thread to standard error when SIGNAL comes."""
    faulthandler.register(SIGNAL, file=STANDARD_ERROR, all_threads=False)


def ask(process: int, output: int, folder: Path) -> list[str]:
    """The frames of a running process in the policy's files, innermost first, as `policy.py, line 3, in f`.

    output: what the process prints, read without waiting; folder: the policy's. Empty when the process does not answer
    in time.
    """
    said, until = b"", time.monotonic() + SECONDS
    with suppress(ProcessLookupError, PermissionError), selectors.DefaultSelector() as selector:
        # Nobody counts its files meanwhile.
        stop_writing(process)
        os.kill(process, SIGNAL)
        selector.register(output, selectors.EVENT_READ)
        while len(said) < LARGEST_BYTES and not END.search(said) and (left := until - time.monotonic()) > 0:
            if selector.select(left):
                chunk = os.read(output, LARGEST_BYTES - len(said))
                if not chunk:
                    break
                said += chunk
    return places(said, folder)


def places(said: bytes, folder: Path) -> list[str]:
    """The frames in the text that a process wrote, as for `ask`."""
    # The text is ASCII, other characters of names are escaped.
    start = str(folder).encode("ascii", "backslashreplace") + b"/"
    frames = [frame for frame in FRAME.finditer(said) if frame["file"].startswith(start)]
    parts = [(frame["file"][len(start) :], frame["line"], frame["name"]) for frame in frames]
    texts = [[printable(part.decode("ascii", "replace")) for part in three] for three in parts]
    return [" ".join(f"{file}, line {line}, in {name}".split())[:LONGEST_PLACE] for file, line, name in texts]


def lines(found: list[str]) -> str:
    """The places for the log, outermost first as in a traceback; of many, the innermost are kept."""
    text = "\n".join(f"  {place}" for place in reversed(found))[-LONGEST_TRACE:]
    return f"Stack (most recent call last):\n{text}" if found else ""
