"""How a program is interrupted: by a key, by the end of its terminal, or by the end of the program that started it."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

Result = TypeVar("Result")

INTERRUPTED, NOT_BEGUN = 130, 2
BEGINS = "Expected: memory, and the packages of requirements.txt. Next: free memory, or install them"
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]
# To remove a folder in which something is still made.
ATTEMPTS = 100
# A process that was killed ends within this time, unless the system itself hangs.
JOIN_SECONDS = 5.0
WAIT_SECONDS = 0.5
# Held while a line is printed, and by an interrupt for ever: what it ends has not failed.
PRINTING = threading.Lock()
# The process that has started a program, and waits for it.
PARENT = "EXPERT_PLACEMENT_PARENT"
PR_SET_PDEATHSIG = 1


def begin(name: str, interrupted: str) -> None:
    """Called first of all in a program: an interrupt ends it with a sentence, and so does an import that fails.

    Without memory, libraries that are half loaded would keep Python from ending in its usual way.
    """
    end_when_interrupted(interrupted)

    def failed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, (ImportError, MemoryError, OSError)):
            sys.__excepthook__(kind, error, trace)
        # numpy's own advice, which comes last, is about other mistakes.
        while error.__context__:
            error = error.__context__
        reason = str(error).strip().partition("\n")[0]
        text = (
            f"{name}: the program cannot begin. Got: {type(error).__name__}{': ' * bool(reason)}{reason}. {BEGINS}.\n"
        )
        with suppress(OSError):
            os.write(2, text.encode(errors="backslashreplace"))
        os._exit(NOT_BEGUN)

    sys.excepthook = failed


def end_when_interrupted(message: str) -> None:
    """Have SIGNALS end this program at once with all its processes, also while threads wait for them.

    Called again where another message is true.
    """

    def end() -> None:
        PRINTING.acquire(timeout=1)
        end_processes()
        _remove_folders()
        # Whoever read the lines may be gone, or not read on, and the program must end all the same.
        with suppress(OSError, ValueError):
            if select.select([], [1], [], 0)[1]:
                os.write(1, f"{message}\n".encode())
        os._exit(INTERRUPTED)

    _handle(end)


def raise_when_interrupted() -> None:
    """Have the first of SIGNALS raise KeyboardInterrupt, and let nothing interrupt what it ends."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    _handle(interrupt)


def end_with_parent() -> None:
    """Interrupt this program when the one ends that has started it as `environment` says (Linux)."""
    parent = os.environ.pop(PARENT, "")
    if sys.platform == "linux" and parent:
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(parent):
            os.kill(os.getpid(), signal.SIGTERM)


def die_with_program() -> None:
    """Have a process that multiprocessing has forked killed when its program ends, or end it where that is gone."""
    import multiprocessing

    from ..isolation.sandbox import die_with_parent

    die_with_parent()
    program = multiprocessing.parent_process()
    # It may have been killed between the fork and now; the fork has its ends of all pipes, and would wait for ever.
    if program and os.getppid() != program.pid:
        os._exit(INTERRUPTED)


def environment() -> dict[str, str]:
    """The environment of a program that is not to live on without this one."""
    return {**os.environ, PARENT: str(os.getpid())}


def results_of(futures: Sequence[Future[Result]]) -> list[Result]:
    """The results of futures, in their order. Raises what the first of them raises, once all have ended.

    Python looks at a signal that came just before a wait when that is over: so none is long.
    """
    from concurrent.futures import wait

    while wait(futures, WAIT_SECONDS).not_done:
        pass
    return [future.result() for future in futures]


def end_processes() -> None:
    """Kill all processes that multiprocessing has started."""
    # Not imported, or not wholly: no processes.
    active_children = getattr(sys.modules.get("multiprocessing"), "active_children", list)
    processes = active_children()
    for process in processes:
        process.kill()
    for process in processes:
        process.join(JOIN_SECONDS)


def remove(folder: str) -> None:
    """Remove a folder in which other threads and processes may still make files: they find it gone from the start."""
    from ..isolation.removal import remove_folder

    gone = f"{folder}-removed"
    with suppress(OSError):
        os.rename(folder, gone)
    # A policy that has not died yet may still make a file in its folder, which it is in.
    for _ in range(ATTEMPTS):
        if remove_folder(gone):
            break


def _handle(act: Callable[[], None]) -> None:
    program = os.getpid()

    def handler(*signal_and_frame: object) -> None:
        # A terminal's signals reach the forks of a program, too, with which they end.
        if os.getpid() == program:
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            act()

    for number in SIGNALS:
        # What nohup has set is meant.
        if number.name != "SIGHUP" or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _remove_folders() -> None:
    # Not imported yet: no folder either.
    temporary = sys.modules.get(f"{__package__}.temporary")
    for folder in list(temporary.HELD) if temporary else ():
        remove(folder)
