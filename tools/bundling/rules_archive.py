"""Rules for zips: the platform unpacks them with Python's zipfile, on a server and on compute workers."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Iterator

from bundling.reader import Fault

METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
ENCRYPTED = 0x1
LONGEST_NAME = 64
REBUILD = "build the bundle with `python tools/bundle.py build`"


def archive_faults(name: str, data: bytes) -> list[Fault]:
    """Faults of a zip and, when it has none, of the zips inside it."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return [Fault(name, "is not a zip", f"{len(data)} bytes of something else", "a zip", REBUILD)]
    faults = [*long_name(name)]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
        for info in infos:
            faults += member_faults(name, info)
        faults += duplicates(name, infos)
        if faults:
            return faults
        for info in infos:
            try:
                content = archive.read(info)
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                faults.append(Fault(name, f"{info.filename} is damaged", error, "content that fits its sum", REBUILD))
                continue
            if info.filename.endswith(".zip"):
                faults += archive_faults(info.filename, content)
    return faults


def long_name(path: str) -> Iterator[Fault]:
    """The platform refuses the upload of a bundle, and of a part, whose file name is long."""
    name = path.rpartition("/")[2]
    if len(name) > LONGEST_NAME:
        expected = f"at most {LONGEST_NAME} characters"
        yield Fault(name, "the zip's file name is too long", f"{len(name)} characters", expected, "rename it")


def member_faults(archive: str, info: zipfile.ZipInfo) -> Iterator[Fault]:
    """One member of a zip: its path, kind, encryption and method."""
    name = info.filename
    if name.startswith(("/", "\\")) or name[1:2] == ":":
        yield Fault(archive, "has a member with an absolute path", name, "paths inside the zip", REBUILD)
    if ".." in name.replace("\\", "/").split("/"):
        yield Fault(archive, "has a member that leads out of the zip", name, "paths without ..", REBUILD)
    if "\\" in name:
        yield Fault(archive, "has a member with a backslash", name, "paths with /", REBUILD)
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        got = f"{name}, a link" if kind == stat.S_IFLNK else f"{name}, a special file"
        yield Fault(archive, "has a member that is no file", got, "plain files", "put the file itself there")
    if info.flag_bits & ENCRYPTED:
        expected = "no password: the platform hangs on it"
        yield Fault(archive, "has an encrypted member", name, expected, REBUILD)
    if info.compress_type not in METHODS:
        expected = f"{' or '.join(METHODS.values())}: the platform hangs on others"
        got = f"{name}, method {info.compress_type}"
        yield Fault(archive, "has a member with another compression", got, expected, REBUILD)


def duplicates(archive: str, infos: list[zipfile.ZipInfo]) -> Iterator[Fault]:
    """Of two members with one name, the last wins in silence."""
    names = [info.filename for info in infos]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Fault(archive, "has a member twice", name, "each name once", REBUILD)
