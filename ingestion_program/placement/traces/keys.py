"""Key files: 32 bytes as 64 hexadecimal characters, in the folder `keys` of the ingestion program."""

from __future__ import annotations

import ctypes
import re
import sys
from pathlib import Path

from ..errors import OrganizerError

KEY_FORM = re.compile(rb"[0-9a-fA-F]{64}")
ON_THE_PLATFORM = "nothing for participants to do; organizers correct the ingestion program's keys"
AT_HOME = "name the key file that `python tools/bundle.py keys` made"


def take_key(path: Path) -> bytes | None:
    """Read a key file and delete it at once, so that no policy can read it; None where there is no file.

    Raises OrganizerError when the file cannot be read or deleted, or holds no key.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _wrong(path, "cannot be read", _reason(error), "a file with the key", ON_THE_PLATFORM) from None
    try:
        path.unlink()
    except OSError as error:
        expected = "a writable copy of the program, because a policy could read a key file that stays"
        raise _wrong(path, "cannot be deleted", _reason(error), expected, ON_THE_PLATFORM) from None
    return _key(path, text, ON_THE_PLATFORM)


def read_key(path: Path) -> bytes:
    """Read a key file and keep it: for the organizers' tools. Raises OrganizerError."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise _wrong(path, "cannot be read", _reason(error), "a file with the key", AT_HOME) from None
    return _key(path, text, AT_HOME)


def kept_in_memory(key: bytes) -> bytes:
    """The same bytes, which the system no longer writes to a swap file, where it lets this process say so (Linux)."""
    if sys.platform == "linux":
        place = ctypes.cast(ctypes.c_char_p(key), ctypes.c_void_p)
        ctypes.CDLL(None).mlock(place, ctypes.c_size_t(len(key)))
    return key


def _key(path: Path, text: bytes, next_step: str) -> bytes:
    text = text.strip()
    if not KEY_FORM.fullmatch(text):
        # The text is not shown: it may be most of a key.
        got = f"{len(text)} bytes of another form"
        raise _wrong(path, "has the wrong form", got, "64 hexadecimal characters", next_step)
    return kept_in_memory(bytes.fromhex(text.decode("ascii")))


def _wrong(path: Path, what: str, got: str, expected: str, next_step: str) -> OrganizerError:
    # The folder above is the platform's, and says nothing to anyone.
    return OrganizerError(f"{path.parent.name}/{path.name} {what}", got, expected, next_step)


def _reason(error: OSError) -> str:
    return f"{type(error).__name__}: {error.strerror}"
