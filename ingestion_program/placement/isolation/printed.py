"""What a policy prints: read from its pipe without waiting, kept up to a limit, shown as printable text."""

from __future__ import annotations

import os

from .protocol import printable

CHUNK = 64 * 1024


class Printed:
    """The first `limit` bytes of what a policy printed."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = bytearray()

    def take(self, descriptor: int) -> bool:
        """Read one pipe's worth, and drop what is beyond the limit; False once nothing more can come."""
        try:
            chunk = os.read(descriptor, CHUNK)
        except BlockingIOError:
            return True
        # One byte more than the limit tells that there was more.
        self._bytes += chunk[: max(0, self._limit + 1 - len(self._bytes))]
        return bool(chunk)

    @property
    def text(self) -> str:
        """What is kept, and a line that says where it was cut."""
        text = printable(self._bytes[: self._limit].decode("utf-8", "replace")).rstrip("\n")
        return text + (f"\n[cut at {self._limit} bytes]" if len(self._bytes) > self._limit else "")
