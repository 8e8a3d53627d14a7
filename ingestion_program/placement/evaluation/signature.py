"""Signs the results, so that the scorer can tell the ingestion program's own from any others."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from ..errors import OrganizerError
from ..traces import keys

# Known to everyone: a run outside the platform has no secret to sign with, and is to be scored all the same.
PUBLISHED_KEY = b"published key: it signs runs outside the platform, and proves nothing"


def signing_key(folder: Path) -> bytes:
    """Read keys/signing.key in the program's folder and delete it; where there is none, the published key.

    Raises OrganizerError when the file cannot be read or deleted, or holds no key.
    """
    try:
        key = keys.take_key(folder / "keys" / "signing.key")
    except OrganizerError as error:
        raise error.at("signature") from None
    return PUBLISHED_KEY if key is None else key


def sign(data: bytes, key: bytes) -> str:
    """The HMAC-SHA256 of the exact bytes of results.json, hexadecimal."""
    return hmac.new(key, data, hashlib.sha256).hexdigest()
