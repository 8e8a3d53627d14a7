"""Signs the results, so that the scorer can tell the ingestion program's own from any others."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path

from .errors import OrganizerError

# Known to everyone: a run outside the platform has no secret to sign with, and is to be scored all the same.
PUBLISHED_KEY = b"published key: it signs runs outside the platform, and proves nothing"
KEY_FORM = re.compile(rb"[0-9a-fA-F]{64}")


def take_key(folder: Path) -> bytes:
    """Read keys/signing.key in the program's folder and delete it; where there is none, the published key.

    Raises OrganizerError when the file cannot be read or deleted, or holds no key.
    """
    path = folder / "keys" / "signing.key"
    try:
        text = path.read_bytes().strip()
    except FileNotFoundError:
        return PUBLISHED_KEY
    except OSError as error:
        raise _wrong("cannot be read", _reason(error), "a file with the key") from None
    try:
        path.unlink()
    except OSError as error:
        expected = "a copy of the program that may be written to, because a policy could read the key"
        raise _wrong("cannot be deleted", _reason(error), expected) from None
    if not KEY_FORM.fullmatch(text):
        # The text is not shown: it may be most of a key.
        raise _wrong("has the wrong form", f"{len(text)} bytes of another form", "64 hexadecimal characters")
    return bytes.fromhex(text.decode("ascii"))


def sign(data: bytes, key: bytes) -> str:
    """The HMAC-SHA256 of the exact bytes of results.json, hexadecimal."""
    return hmac.new(key, data, hashlib.sha256).hexdigest()


def _wrong(what: str, got: str, expected: str) -> OrganizerError:
    return OrganizerError(
        f"keys/signing.key {what}",
        got=got,
        expected=expected,
        next_step="nothing for participants to do; organizers correct the ingestion program's keys",
        where="signature",
    )


def _reason(error: OSError) -> str:
    return f"{type(error).__name__}: {error.strerror}"
