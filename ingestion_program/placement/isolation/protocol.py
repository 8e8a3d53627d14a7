"""Messages between the simulator and a policy process: a length, a JSON header, raw integers. No pickles."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from typing import Any

from ..errors import printable

LENGTH = struct.Struct("<I")
# A header carries sizes and one error message, never data.
LARGEST_HEADER = 64 * 1024
LARGEST_TEXT = 2000
LONGEST_TRACE = 2400


class MalformedMessage(Exception):
    """The other side sent something that is not a message."""


def encode(header: dict[str, Any]) -> bytes:
    """The bytes of a header, without its raw integers."""
    body = json.dumps(header, allow_nan=False).encode("ascii")
    if len(body) > LARGEST_HEADER:
        raise ValueError(f"header of {len(body)} bytes")
    return LENGTH.pack(len(body)) + body


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write contiguous data to a descriptor, which may take it in parts. Raises OSError."""
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(descriptor, view) :]


def decode(read: Callable[[int], bytes]) -> dict[str, Any]:
    """Read one header with `read(count) -> exactly count bytes`. Raises MalformedMessage."""
    (length,) = LENGTH.unpack(read(LENGTH.size))
    if length > LARGEST_HEADER:
        raise MalformedMessage(f"a header of {length} bytes")
    try:
        header = json.loads(read(length))
    except (ValueError, RecursionError):
        raise MalformedMessage("a header that is not JSON") from None
    if not isinstance(header, dict):
        raise MalformedMessage("a header that is not a JSON object")
    return header


def integer(header: dict[str, Any], key: str) -> int:
    """A non-negative integer field. Raises MalformedMessage."""
    value = header.get(key)
    if type(value) is not int or not 0 <= value < 2**63:
        raise MalformedMessage(f"no valid {key}")
    return value


def text(header: dict[str, Any], key: str) -> str:
    """A text field, printable, on one line and cut to a sane length. Raises MalformedMessage."""
    value = header.get(key)
    if not isinstance(value, str):
        raise MalformedMessage(f"no valid {key}")
    return " ".join(printable(value).split())[:LARGEST_TEXT]


def texts(header: dict[str, Any], key: str) -> list[str]:
    """A field that is a list of texts. Raises MalformedMessage."""
    value = header.get(key)
    if not isinstance(value, list):
        raise MalformedMessage(f"no valid {key}")
    return [text({key: item}, key) for item in value]
