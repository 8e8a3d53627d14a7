"""Rules for zips, and the sizes of images."""

from __future__ import annotations

import io
import stat
import struct
import warnings
import zipfile
import zlib
from typing import Any

import pytest

from bundles import NAME, ROOT, changed, messages_of, outer, rename, sound
from bundling.check import check
from bundling.image import image_size
from commands.archive import archive

GIF = b"GIF89a" + struct.pack("<HH", 300, 280)


def png(width: int, height: int) -> bytes:
    """The head of a PNG."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)


# Zips


def zipped(*members: tuple[str, bytes, dict[str, Any]]) -> bytes:
    """A zip of (name, content, attributes of its ZipInfo)."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as target:
        warnings.filterwarnings("ignore", "Duplicate name")
        for name, content, attributes in members:
            info = zipfile.ZipInfo(name)
            for key, value in attributes.items():
                setattr(info, key, value)
            target.writestr(info, content)
    return buffer.getvalue()


def encrypted() -> bytes:
    """A zip whose only member says that it is encrypted."""
    data = bytearray(zipped(("a", b"b", {})))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + flags] |= 1
    return bytes(data)


def damaged() -> bytes:
    """A zip whose content does not fit its sum."""
    data = bytearray(zipped(("a", b"content", {})))
    data[data.index(b"content")] ^= 1
    return bytes(data)


LINK, FIFO = ({"external_attr": (kind | 0o644) << 16} for kind in (stat.S_IFLNK, stat.S_IFIFO))
ZIPS = {
    "absolute": (zipped(("/a", b"", {})), "has a member with an absolute path"),
    "drive": (zipped(("C:/a", b"", {})), "has a member with an absolute path"),
    "climbing": (zipped(("a/../../b", b"", {})), "has a member that leads out of the zip"),
    "link": (zipped(("a", b"/etc/passwd", LINK)), "has a member that is no file"),
    "fifo": (zipped(("a", b"", FIFO)), "has a member that is no file"),
    "encrypted": (encrypted(), "has an encrypted member"),
    "lzma": (zipped(("a", b"b", {"compress_type": zipfile.ZIP_LZMA})), "has a member with another compression"),
    "bzip2": (zipped(("a", b"b", {"compress_type": zipfile.ZIP_BZIP2})), "has a member with another compression"),
    "twice": (zipped(("a", b"b", {}), ("a", b"c", {})), "has a member twice"),
    "damaged": (damaged(), "a is damaged"),
    "no zip": (b"text", "is not a zip"),
}


@pytest.mark.parametrize("name", ZIPS)
def test_a_bad_zip_is_refused_outside_and_inside(name: str) -> None:
    data, message = ZIPS[name]
    assert messages_of(check(data, NAME)) == [message]
    faults = check(changed(outer("scoring_program.zip", data)), NAME)
    assert [(fault.where, fault.what) for fault in faults] == [(["scoring_program.zip"], message)]


def test_a_backslash_is_refused() -> None:
    # zipfile replaces it where it is the system's separator, so the bytes are changed.
    data = zipped(("a/b", b"", {})).replace(b"a/b", b"a\\b")
    assert messages_of(check(data, NAME)) == ["has a member with a backslash"]


def test_long_file_names_of_zips_are_refused() -> None:
    assert check(archive(sound()), "x" * 60 + ".zip") == []
    assert messages_of(check(archive(sound()), "x" * 61 + ".zip")) == ["the zip's file name is too long"]
    long = "x" * 61 + ".zip"
    moved = rename("scoring_program.zip", long)
    assert messages_of(check(changed(moved), NAME)) == ["the zip's file name is too long"]


# Images


def jpeg(width: int, height: int) -> bytes:
    """The head of a JPEG, with a comment before its frame."""
    return b"\xff\xd8\xff\xfe\x00\x04ab\xff\xc2\x00\x11\x08" + struct.pack(">HH", height, width) + b"\x03"


def webp(kind: bytes, body: bytes) -> bytes:
    """The head of a WEBP."""
    return b"RIFF\0\0\0\0WEBP" + kind + struct.pack("<I", len(body)) + body


IMAGES = [
    png(300, 280),
    GIF,
    jpeg(300, 280),
    webp(b"VP8X", b"\0" * 4 + (299).to_bytes(3, "little") + (279).to_bytes(3, "little")),
    webp(b"VP8L", b"\x2f" + struct.pack("<I", 299 | 279 << 14)),
    webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 300, 280)),
]


@pytest.mark.parametrize("data", IMAGES)
def test_sizes_of_images_are_read_from_their_content(data: bytes) -> None:
    assert image_size(data) == (300, 280)
    for length in range(len(data) - 2):
        assert image_size(data[:length]) in (None, (300, 280))


def test_the_logo_that_ships_is_small() -> None:
    data = (ROOT / "logo.png").read_bytes()
    assert len(data) < 60_000
    assert zlib.crc32(data[12:29]) == struct.unpack(">I", data[29:33])[0]
