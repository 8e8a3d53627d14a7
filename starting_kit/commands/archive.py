"""Writes zips whose bytes depend only on names and content (and on the release of zlib)."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Mapping

# Compressing these again gains nothing.
COMPRESSED = (".zip", ".npz", ".png")


def archive(files: Mapping[str, bytes]) -> bytes:
    """A zip of content by name, with fixed order, times, modes and compression."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            member.create_system = 3  # as on Unix: the default names the system that runs
            member.external_attr = (stat.S_IFREG | 0o644) << 16
            member.compress_type = zipfile.ZIP_STORED if name.endswith(COMPRESSED) else zipfile.ZIP_DEFLATED
            target.writestr(member, files[name], compresslevel=9)
    return buffer.getvalue()


def unpack(data: bytes) -> dict[str, bytes]:
    """The content of a zip's files, by name. Raises zipfile.BadZipFile."""
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        return {info.filename: source.read(info) for info in source.infolist() if not info.is_dir()}
