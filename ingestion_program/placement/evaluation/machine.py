"""Recognizes exceptions that a machine raises when it has too little of something."""

from __future__ import annotations

import errno

from ..errors import OrganizerError

# A fork without room for another process is EAGAIN.
LACKS = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT)


def lack(error: BaseException) -> OrganizerError | None:
    """The organizer's error for an exception that a machine without memory, processes or room raises; None for
    others.
    """
    lacks = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in LACKS)
    # Python gives a thread that does not start no kind of its own.
    if not lacks and "can't start new thread" not in str(error):
        return None
    text = f"{type(error).__name__}: {error}".removesuffix(": ")
    return OrganizerError(
        "the machine lacks what the run needs",
        got=text,
        expected="memory, processes, open files and room on the disk",
        next_step="free some of them, or raise the machine's limits, and repeat the run",
    )
