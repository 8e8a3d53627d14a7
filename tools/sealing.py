"""Seals traces: writes what placement.traces.sealed opens, chunk by chunk.

With another library than the one that opens them: it is four times faster, and does not run from a folder.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import IO, Any

import numpy as np

from placement.errors import OrganizerError
from placement.trace import check_values, start_hash
from placement.traces.sealed import LARGEST_CHUNK, NONCE_BYTES, Header, bound, file_key
from traces.manifest import write_whole
from traces.plain_trace import PlainTrace

# Two such blocks, encrypted and plain, stay inside the cache.
CHUNK_BYTES = 2**21


def seal_trace(
    source: PlainTrace, path: Path, key: bytes, name: str, sha256: str | None = None, chunk_bytes: int = CHUNK_BYTES
) -> tuple[Header, str]:
    """Write a trace to a sealed file; returns its header and the trace hash of its content.

    key: 32 bytes; name: `<model>/<dataset>`, without which the file cannot be opened; sha256: the trace hash that
    the content must have. Needs the memory of a chunk, and writes nothing plain. Raises OrganizerError, and OSError;
    the file is then as it was before.
    """
    iterations, layers, experts = source.shape
    chunk_iterations = min(iterations, max(1, chunk_bytes // (4 * layers * experts)))
    header = Header((iterations, layers, experts), chunk_iterations, secrets.token_hex(16))
    try:
        header.check()
    except ValueError as error:
        raise OrganizerError(
            "the trace cannot be sealed",
            got=str(error),
            expected=f"iterations of at most {LARGEST_CHUNK} bytes",
            next_step="use the trace of a smaller model",
            where=source.name,
        ) from None
    aes = _library()(file_key(header, key))
    digest = start_hash(header.shape)

    def write(file: IO[bytes]) -> None:
        file.write(header.encode())
        for chunk, block in enumerate(source.blocks(chunk_iterations)):
            check_values(block, chunk * chunk_iterations, source.name)
            values = np.ascontiguousarray(block, "<i4")
            digest.update(values)
            nonce = secrets.token_bytes(NONCE_BYTES)
            file.write(nonce)
            file.write(aes.encrypt(nonce, memoryview(values).cast("B"), bound(header, name, chunk)))
        if sha256 not in (None, digest.hexdigest()):
            raise OrganizerError(
                "the trace's sha256 is not the manifest's",
                got=digest.hexdigest(),
                expected=str(sha256),
                next_step="restore the right trace, or correct its manifest.yaml",
                where=source.name,
            )

    write_whole(path, write)
    return header, digest.hexdigest()


def _library() -> Any:
    """The constructor of AES-GCM. Raises OrganizerError when the library is missing."""
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise OrganizerError(
            "the library that seals traces is missing",
            got=f"{type(error).__name__}: {error}",
            expected="cryptography",
            next_step="pip install 'cryptography>=42' (the extra `seal`)",
            where="sealed traces",
        ) from None
    return AESGCM
