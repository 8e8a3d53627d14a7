"""Seals traces: writes what placement.traces.sealed opens, chunk by chunk."""

from __future__ import annotations

import secrets
from pathlib import Path

import numpy as np

from placement.errors import OrganizerError
from placement.trace import check_values, start_hash
from placement.traces.sealed import LARGEST_CHUNK, NONCE_BYTES, TAG_BYTES, Header, ciphers
from placement.traces.whole_file import whole_file
from traces.labels import relabelled
from traces.plain_trace import PlainTrace

# Two such blocks, encrypted and plain, stay inside the cache.
CHUNK_BYTES = 2**21


def seal_trace(
    source: PlainTrace,
    path: Path,
    key: bytes,
    name: str,
    sha256: str | None = None,
    labels: np.ndarray | None = None,
) -> tuple[Header, str]:
    """Write a trace to a sealed file; returns its header and the trace hash of its content.

    key: 32 bytes; name: `<model>/<dataset>`, without which the file cannot be opened; sha256: the trace hash that
    the source must have; labels: another id for each expert, [layer, expert], as traces.labels draws them. Needs the
    memory of a chunk, and writes nothing plain. Raises OrganizerError, and OSError; the file is then as it was before.
    """
    iterations, layers, experts = source.shape
    chunk_iterations = min(iterations, max(1, CHUNK_BYTES // (4 * layers * experts)))
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
    cipher = ciphers(header, key, name)
    digest, source_digest = start_hash(header.shape), start_hash(header.shape)
    with whole_file(path) as file:
        file.write(header.encode())
        # Used for every chunk: pages of new memory would cost as much again as the cipher.
        record = memoryview(bytearray(NONCE_BYTES + chunk_iterations * header.iteration_bytes + TAG_BYTES))
        for chunk, block in enumerate(source.blocks(chunk_iterations)):
            check_values(block, chunk * chunk_iterations, source.name)
            values = np.ascontiguousarray(block, "<i4")
            if labels is not None:
                source_digest.update(values)
                values = np.ascontiguousarray(relabelled(values, labels))
            digest.update(values)
            end = NONCE_BYTES + values.nbytes
            record[:NONCE_BYTES] = secrets.token_bytes(NONCE_BYTES)
            aes = cipher(chunk, bytes(record[:NONCE_BYTES]))
            aes.encrypt(memoryview(values).cast("B"), output=record[NONCE_BYTES:end])
            record[end : end + TAG_BYTES] = aes.digest()
            file.write(record[: end + TAG_BYTES])
        got = (digest if labels is None else source_digest).hexdigest()
        if sha256 not in (None, got):
            raise OrganizerError(
                "the trace's sha256 is not the manifest's",
                got=got,
                expected=str(sha256),
                next_step="restore the right trace, or correct its manifest.yaml",
                where=source.name,
            )
    return header, digest.hexdigest()
