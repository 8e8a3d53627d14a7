"""The text that a participant reads of an exception: type, text, and the lines of the policy's files."""

from __future__ import annotations

import traceback
from pathlib import Path

# An exception's text is cut here, so that its place in policy.py still fits into the message.
LONGEST_EXCEPTION = 1000


def describe(error: BaseException, folder: Path) -> str:
    """An exception with its place in the policy's files: `ValueError: text (policy.py, line 3, in f)`."""
    kind = type(error).__name__
    if isinstance(error, SyntaxError) and _is_own(error.filename, folder):
        return f"{kind}: {error.msg} ({_relative(error.filename, folder)}, line {error.lineno})"
    text = _without(folder, readable(error))
    text = text if len(text) <= LONGEST_EXCEPTION else f"{text[:LONGEST_EXCEPTION]}..."
    words = f"{kind}: {text}" if text else kind
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename, folder)]
    if not frames:
        return words
    return f"{words} ({_relative(frames[-1].filename, folder)}, line {frames[-1].lineno}, in {frames[-1].name})"


def own_lines(error: BaseException, folder: Path) -> str:
    """A traceback without the lines of Python's libraries and of the simulator."""
    report = traceback.TracebackException.from_exception(error, compact=True)
    pending, seen = [report], set()
    while pending:
        part = pending.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        part.stack = traceback.StackSummary.from_list([f for f in part.stack if _is_own(f.filename, folder)])
        pending += [part.__cause__, part.__context__]
    return _without(folder, "".join(report.format()).rstrip())


def readable(value: object) -> str:
    """The text of a value whose own str() may fail."""
    try:
        return str(value)
    except Exception as failure:
        return f"(its text raised {type(failure).__name__})"


def _without(folder: Path, text: str) -> str:
    """A text in which the policy's files have their names in the submission: the run's copy is removed after the
    run.
    """
    return text.replace(f"{folder}/", "")


def _is_own(filename: object, folder: Path) -> bool:
    return isinstance(filename, str) and Path(filename).is_relative_to(folder)


def _relative(filename: str, folder: Path) -> str:
    return str(Path(filename).relative_to(folder))
