"""The sealed part of a manifest's entry: what only organizers may know of a sealed trace, encrypted with the trace's
key.

It holds the trace's former name, its origin and licence, and the seed of its relabelling. In the manifest it is one
hexadecimal text: a file id, a nonce, the encrypted JSON object and a tag, as in a sealed file of one chunk. The tag
covers the trace's name and hash, so no part fits another entry.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from placement.errors import OrganizerError
from placement.traces.sealed import NONCE_BYTES, TAG_BYTES, Header, ciphers

FIELD = "sealed_part"
FORMAT = 1
ID_BYTES = 16
# A part's length must not tell that of a name, nor how much was noted of a recording.
STEP = 4096


def seal_part(content: dict[str, Any], key: bytes, name: str, sha256: str) -> str:
    """The text of a sealed part. content: JSON values; key: 32 bytes; name, sha256: of the sealed trace.

    Raises OrganizerError where the library for sealed traces is missing.
    """
    text = json.dumps({"format": FORMAT} | content, default=str).encode("ascii")
    text = text.ljust(-(-len(text) // STEP) * STEP)
    file_id, nonce = secrets.token_hex(ID_BYTES), secrets.token_bytes(NONCE_BYTES)
    aes = _cipher(key, name, sha256, file_id, nonce, len(text))
    encrypted, tag = aes.encrypt_and_digest(text)
    return file_id + (nonce + encrypted + tag).hex()


def open_part(entry: dict[str, Any], key: bytes, name: str) -> dict[str, Any]:
    """What a manifest's entry keeps sealed, {} where it keeps nothing; name: `<model>/<dataset>`.

    Raises OrganizerError for another key, entry or name, and for a part of the wrong format.
    """
    text = entry.get(FIELD)
    if text is None:
        return {}
    try:
        data = bytes.fromhex(text)
        file_id, nonce = data[:ID_BYTES].hex(), data[ID_BYTES : ID_BYTES + NONCE_BYTES]
        encrypted, tag = data[ID_BYTES + NONCE_BYTES : -TAG_BYTES], data[-TAG_BYTES:]
        aes = _cipher(key, name, str(entry.get("sha256")), file_id, nonce, len(encrypted))
        content = json.loads(aes.decrypt_and_verify(encrypted, tag))
    except (ValueError, TypeError):
        raise OrganizerError(
            "the manifest's sealed part cannot be opened",
            got="an entry, a name and a key that do not belong together",
            expected="the entry as seal.py wrote it, and the key that it was sealed with",
            next_step="use that key; if this is the key, copy manifest.yaml again",
            where=f"trace {name}",
        ) from None
    if content.pop("format") != FORMAT:
        raise OrganizerError(
            "the manifest's sealed part has the wrong format",
            got="the part of another release",
            expected=f"format {FORMAT}",
            next_step="open it with the release that sealed the trace, or seal the trace again",
            where=f"trace {name}",
        )
    return content


def _cipher(key: bytes, name: str, sha256: str, file_id: str, nonce: bytes, size: int) -> Any:
    # No trace has a name with spaces, so that no chunk of a file passes for a part.
    return ciphers(Header((1, 1, size), 1, file_id), key, f"manifest entry of {name}, {sha256}")(0, nonce)
