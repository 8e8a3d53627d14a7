"""Sealed traces: encrypted and authenticated files, for traces that lie where everyone can read.

A file is a header of two lines, the format's name with its version and a JSON object, and then chunks of whole
iterations. A chunk is a nonce (12 bytes), its part of the values encrypted with AES-256-GCM, and a tag (16 bytes).
The values are those that the trace's hash covers: as stored, little-endian int32, C order.

Every tag covers the chunk, its number, the whole header and the trace's name, so no chunk can be changed, left out,
repeated, moved, or taken from another file, and no file can pass for another trace. `tools/sealing.py` seals.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import OrganizerError
from .keys import kept_in_memory

MAGIC = b"expert-placement sealed trace, format 1\n"
LONGEST_HEADER = 512
NONCE_BYTES = 12
TAG_BYTES = 16
MISSING_LIBRARY = "pip install 'pycryptodome>=3.20,<4' (the extra `seal`), or build the bundle, which carries it"
UNFIT_LIBRARY = "build the bundle for this machine, or remove the folder vendor and install pycryptodome"
# Bounds what is in memory beside the trace itself.
LARGEST_CHUNK = 2**24


@dataclass(frozen=True)
class Header:
    """What a sealed file says of itself.

    shape: iterations, layers, experts; chunk_iterations: iterations in every chunk but a shorter last one;
    file_id: 32 hexadecimal characters, random for every file.
    """

    shape: tuple[int, int, int]
    chunk_iterations: int
    file_id: str

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return -(-self.shape[0] // self.chunk_iterations)

    @property
    def iteration_bytes(self) -> int:
        """Size of one iteration's values."""
        return 4 * self.shape[1] * self.shape[2]

    @property
    def file_bytes(self) -> int:
        """Size of the whole file."""
        values = self.shape[0] * self.iteration_bytes
        return len(self.encode()) + values + self.chunks * (NONCE_BYTES + TAG_BYTES)

    def encode(self) -> bytes:
        """The header as it stands in the file."""
        content = {
            "shape": list(self.shape),
            "dtype": "<i4",
            "chunk_iterations": self.chunk_iterations,
            "chunks": self.chunks,
            "file_id": self.file_id,
        }
        return MAGIC + json.dumps(content).encode("ascii") + b"\n"

    def check(self) -> None:
        """Raise ValueError for values that no sealed file has."""
        if len(self.shape) != 3 or any(type(size) is not int or size < 1 for size in self.shape):
            raise ValueError("the shape is not [iteration, layer, expert]")
        if type(self.chunk_iterations) is not int or not 1 <= self.chunk_iterations <= self.shape[0]:
            raise ValueError("chunk_iterations is not in 1 .. iterations")
        if self.chunk_iterations * self.iteration_bytes > LARGEST_CHUNK:
            raise ValueError(f"a chunk is larger than {LARGEST_CHUNK} bytes")
        if not isinstance(self.file_id, str) or not re.fullmatch("[0-9a-f]{32}", self.file_id):
            raise ValueError("file_id is not 32 hexadecimal characters")


class SealedFile:
    """The values of a sealed trace, decrypted chunk by chunk in memory only; the file's key is kept as long.

    As placement.trace.Values: shape, ndim, dtype; header: as the file has it, vouched for by every chunk's tag.
    """

    def __init__(self, path: Path, key: bytes, name: str) -> None:
        """key: the 32 bytes it was sealed with; name: `<model>/<dataset>`. Raises OrganizerError, as all methods do,
        when any bit of the file, its name or the key is another.
        """
        self._path, self._name, self.dtype = path, name, np.dtype("<i4")
        with self._readable():
            self._file = os.fdopen(os.open(path, os.O_RDONLY), "rb")
            weakref.finalize(self, self._file.close)
            self.header = read_sealed_header(self._file)
        self.shape, self.ndim = self.header.shape, len(self.header.shape)
        self._start, self._cipher = self._file.tell(), ciphers(self.header, key, name)
        size = self.header.chunk_iterations * self.header.iteration_bytes
        self._record = memoryview(bytearray(NONCE_BYTES + size + TAG_BYTES))
        self._last: tuple[int, np.ndarray] | None = None

    def decrypt(self, chunk: int, plain: memoryview) -> None:
        """Decrypt a chunk into as many bytes."""
        sealed = self._record[: NONCE_BYTES + len(plain) + TAG_BYTES]
        with self._readable():
            self._file.seek(self._start + chunk * len(self._record))
            if self._file.readinto(sealed) != len(sealed):
                raise ValueError("the file ends early")
            aes = self._cipher(chunk, bytes(sealed[:NONCE_BYTES]))
            _open_chunk(aes, sealed[NONCE_BYTES:], plain, self._name)

    def read(self, start: int, out: np.ndarray) -> np.ndarray:
        """As Values.read; whoever goes forward has each chunk decrypted once."""
        done = 0
        while done < len(out):
            chunk, first = divmod(start + done, self.header.chunk_iterations)
            part = self._plain(chunk)[first : first + len(out) - done]
            out[done : done + len(part)] = part
            done += len(part)
        return out

    def pieces(self, seen: Callable[[np.ndarray], object]) -> Iterator[np.ndarray]:
        """As Values.pieces: the chunks."""
        for chunk in range(self.header.chunks):
            plain = self._plain(chunk)
            seen(plain)
            yield plain

    def _plain(self, chunk: int) -> np.ndarray:
        if not self._last or self._last[0] != chunk:
            size = self.header.chunk_iterations
            values = np.empty((min(size, self.shape[0] - chunk * size), *self.shape[1:]), "<i4")
            # Of what cannot be opened, nothing is left to be taken for values.
            self._last = None
            self.decrypt(chunk, memoryview(values).cast("B"))
            self._last = chunk, values
        return self._last[1]

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            raise OrganizerError(
                "the sealed trace cannot be read",
                got=f"{type(error).__name__}: {error}",
                expected="a complete .sealed file of format 1",
                next_step=f"copy {self._path.name} again and compare it with its manifest",
                where=f"trace {self._name}",
            ) from None


def read_sealed_header(file: IO[bytes]) -> Header:
    """Read an opened file's header, which no tag has vouched for yet, and stop behind it.

    Raises ValueError when it is malformed, or describes a file of another size.
    """
    if file.read(len(MAGIC)) != MAGIC:
        raise ValueError("not a sealed trace of this format")
    line = file.readline(LONGEST_HEADER)
    try:
        content = json.loads(line)
        header = Header(tuple(content["shape"]), content["chunk_iterations"], content["file_id"])
    except (ValueError, TypeError, KeyError):
        raise ValueError("the header is malformed") from None
    header.check()
    # All other ways to write the same header, and further keys, are refused with this.
    if header.encode() != MAGIC + line:
        raise ValueError("the header is malformed")
    size = os.fstat(file.fileno()).st_size
    if size != header.file_bytes:
        raise ValueError(f"{size} bytes where the header describes {header.file_bytes}")
    return header


def ciphers(header: Header, key: bytes, name: str) -> Callable[[int, bytes], Any]:
    """A function (chunk's number, nonce) -> AES-GCM cipher, ready for the chunk's values. Raises OrganizerError."""
    new, gcm = _library()
    # A process that was handed the key has a copy, which is its own to keep.
    one_key = kept_in_memory(file_key(header, kept_in_memory(key)))

    def cipher(chunk: int, nonce: bytes) -> Any:
        aes = new(one_key, gcm, nonce=nonce, mac_len=TAG_BYTES)
        aes.update(bound(header, name, chunk))
        return aes

    return cipher


def file_key(header: Header, key: bytes) -> bytes:
    """The key of one file, from the organizer's.

    What the nonces must not repeat under is then one file's chunks, not all that were ever sealed with the
    organizer's key, and 96 random bits suffice by far.
    """
    label = b"expert-placement sealed trace\n"
    return hmac.new(key, label + bytes.fromhex(header.file_id), hashlib.sha256).digest()


def bound(header: Header, name: str, chunk: int) -> bytes:
    """What a chunk's tag covers beside its values: the header, the trace's name and the chunk's number."""
    return header.encode() + json.dumps(name).encode("ascii") + f"\n{chunk}\n".encode("ascii")


def _open_chunk(aes: Any, sealed: memoryview, plain: memoryview, name: str) -> None:
    """Decrypt values and tag into `plain`. Raises OrganizerError when the tag is wrong."""
    aes.decrypt(sealed[:-TAG_BYTES], output=plain)
    try:
        aes.verify(sealed[-TAG_BYTES:])
    except ValueError:
        raise OrganizerError(
            "the sealed trace cannot be opened",
            got="a file, a name and a key that do not belong together",
            expected="the file as it was sealed, under the name and with the key it was sealed with",
            next_step="use its key; if this is its key, copy the file and its manifest again, under their own names",
            where=f"trace {name}",
        ) from None


def _library() -> tuple[Any, int]:
    """AES's constructor and its mode GCM: installed, or from the folder that travels in the bundle."""
    try:
        from Crypto.Cipher.AES import MODE_GCM, new
    # OSError: its compiled parts do not fit the machine.
    except (ImportError, OSError) as error:
        raise OrganizerError(
            "the library for sealed traces is missing",
            got=f"{type(error).__name__}: {error}",
            expected="pycryptodome, installed or in the ingestion program's folder vendor",
            next_step=MISSING_LIBRARY if isinstance(error, ImportError) else UNFIT_LIBRARY,
            where="sealed traces",
        ) from None
    return new, MODE_GCM
