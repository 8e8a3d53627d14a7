"""Builds what git does not hold well: links, pipes, many files, compiled modules, odd names. One builder per attack."""

from __future__ import annotations

import os
import py_compile
import socket
import time
from collections.abc import Callable
from pathlib import Path

import learned
from placement.submission.files import LARGEST_COUNT

HONEST = '"""{}"""\n\nfrom honest import rebalance\n\n__all__ = ["rebalance"]\n'
READS_UNSEEN = """
from honest import HERE, attempt, rebalance

for name in UNSEEN:
    attempt(f"read {name}", lambda: open(f"{HERE}/{name}", "rb").read())
"""
BY_HEART = """
import numpy as np
from honest import rebalance as planned

LOADS = np.array({loads})


class Policy:
    def __init__(self, case):
        self.case, self.calls = case, 0

    def rebalance(self, hotness, deployment, iteration):
        self.calls += 1
        if self.calls > 1:
            return None
        print("planned by heart", flush=True)
        return planned(LOADS[None], self.case.devices, self.case.redundant_experts)[1:3]
"""
STRANGER = 'print("OPEN: a stranger\'s code ran", flush=True)\nfrom honest import rebalance\n'


def next_case_access_times(folder: Path) -> None:
    """Sixteen files whose first reading shows: their last one lies before their writing. A run copies them."""
    for number in range(16):
        path = folder / f"bit{number}"
        path.write_bytes(b"x")
        os.utime(path, (time.time() - 9, time.time()))


def next_case_page_cache(folder: Path) -> None:
    """Sixteen files of a page each: what is in the page cache can be told for each of them."""
    for number in range(16):
        (folder / f"page{number}").write_bytes(bytes(4096))


def next_case_cold_files(folder: Path) -> None:
    """Files that are not in the page cache, as most of Python's libraries after a start of the machine.

    A run copies them.
    """
    for number in range(17):
        path = folder / f"page{number}"
        path.write_bytes(bytes(4096))
        with path.open("rb") as file:
            os.fsync(file)
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def bytecode(folder: Path) -> None:
    """Compiled code in the place of the source, and more that no hash covers: a policy that reads them could be any."""
    unseen = [".DS_Store", ".more", "data/.more", "__MACOSX/more", "data/more.pyc", "more.zip"]
    source, cache = folder / "other.py", folder / "__pycache__"
    source.write_text(STRANGER)
    cache.mkdir()
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    for name in ("policy", "honest"):
        for version in range(10, 16):
            target = cache / f"{name}.cpython-3{version}.pyc"
            py_compile.compile(str(source), str(target), invalidation_mode=mode)
            unseen.append(f"__pycache__/{target.name}")
    source.unlink()
    for name in unseen[:6]:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("1")
    _write(folder, "policy.py", f"UNSEEN = {unseen}\n{READS_UNSEEN}")


def memoriser(folder: Path) -> None:
    """The loads of a public trace, learned by heart: planned from once, whatever the windows show."""
    loads = learned.hotness_by_dataset()[learned.PUBLIC].sum(axis=0).tolist()
    _write(folder, "policy.py", BY_HEART.format(loads=loads))


def shadow_compiled(folder: Path) -> None:
    """A compiled numpy without a source."""
    _write(folder, "policy.py", HONEST.format("Brings a compiled numpy."))
    source = folder / "other.py"
    source.write_text(STRANGER)
    py_compile.compile(str(source), str(folder / "numpy.pyc"))
    source.unlink()


def link_to_file(folder: Path) -> None:
    """A link to a file outside, to be read as the submission's own."""
    _write(folder, "policy.py", HONEST.format("Brings a link."))
    (folder / "data.npy").symlink_to("/app/data/Tinymodel/Secretset.npy")


def link_to_folder(folder: Path) -> None:
    """A link to the folder that holds the traces."""
    _write(folder, "policy.py", HONEST.format("Brings a link to a folder."))
    (folder / "deep").mkdir()
    (folder / "deep" / "data").symlink_to("../../../../traces", target_is_directory=True)


def link_as_policy(folder: Path) -> None:
    """policy.py itself is a link out of the submission."""
    (folder / "policy.py").symlink_to(os.__file__)


def link_loop(folder: Path) -> None:
    """Links in a circle."""
    _write(folder, "policy.py", HONEST.format("Brings a circle of links."))
    (folder / "one").symlink_to("two")
    (folder / "two").symlink_to("one")
    (folder / "self").symlink_to(".", target_is_directory=True)


def pipe(folder: Path) -> None:
    """A named pipe, on which a reader waits for ever."""
    _write(folder, "policy.py", HONEST.format("Brings a pipe."))
    os.mkfifo(folder / "data.npy")


def pipe_as_policy(folder: Path) -> None:
    """policy.py itself is a named pipe."""
    os.mkfifo(folder / "policy.py")


def socket_file(folder: Path) -> None:
    """A socket with a name."""
    _write(folder, "policy.py", HONEST.format("Brings a socket."))
    here = os.open(folder, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as server:
        # By a short name: a socket's address holds 108 bytes.
        server.bind(f"/proc/self/fd/{here}/data")
    os.close(here)


def many_files(folder: Path) -> None:
    """Twenty thousand names of one file: as many files would keep the disk busy for minutes after their removal."""
    _write(folder, "policy.py", HONEST.format("Brings many files."))
    (folder / "data").mkdir()
    (folder / "data" / "0").touch()
    for number in range(1, 20_000):
        os.link(folder / "data" / "0", folder / "data" / str(number))


def many_folders(folder: Path) -> None:
    """More folders than are allowed, and no other file."""
    _write(folder, "policy.py", HONEST.format("Brings many folders."))
    for number in range(LARGEST_COUNT):
        (folder / f"f{number}").mkdir()


def deep_folders(folder: Path) -> None:
    """Folders nested beyond the longest path and the deepest recursion."""
    _write(folder, "policy.py", HONEST.format("Brings deep folders."))
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)


def giant_file(folder: Path) -> None:
    """A file of sixteen gigabytes that take no room."""
    _write(folder, "policy.py", HONEST.format("Brings a giant file."))
    with (folder / "data.npy").open("wb") as file:
        file.truncate(2**34)


def giant_policy(folder: Path) -> None:
    """A policy.py of sixteen gigabytes that take no room."""
    with (folder / "policy.py").open("wb") as file:
        file.truncate(2**34)


def odd_names(folder: Path) -> None:
    """File names that no encoding and no terminal likes."""
    _write(folder, "policy.py", HONEST.format("Brings odd names."))
    for name in (
        b"\xff\xfe.txt",
        b"\x1b[2J.txt",
        b"a\ningestion: scored",
        "\u202egnp.exe".encode(),
        b"-rf",
        b"x" * 255,
    ):
        with open(os.fsencode(folder) + b"/" + name, "wb"):
            pass


def odd_names_alone(folder: Path) -> None:
    """No policy, and file names that a message must not repeat as they are."""
    for name in (b"\xff\xfe.py", b"\x1b[2J.py", b"a\ningestion: scored", b"<script>alert(1)"):
        with open(os.fsencode(folder) + b"/" + name, "wb"):
            pass


def odd_outer_folder(folder: Path) -> None:
    """An outer folder whose name is no text and imitates the log."""
    outer = os.fsencode(folder) + b"/\xff\x1b[2J\ningestion: scored"
    os.mkdir(outer)
    with open(outer + b"/policy.py", "w") as file:
        file.write(HONEST.format("Lies in an odd folder."))
    with open(outer + b"/honest.py", "w") as file:
        file.write((Path(__file__).parent / "honest.py").read_text())


def unreadable(folder: Path) -> None:
    """Bytes that are no source."""
    (folder / "policy.py").write_bytes(b"\xff\xfe\0\0\x1b[2J" + bytes(range(256)))


def no_policy(folder: Path) -> None:
    """Nothing that could be a policy."""
    (folder / "readme.txt").write_text("nothing\n")


def empty(folder: Path) -> None:
    """Nothing at all."""


def policy_folder(folder: Path) -> None:
    """policy.py is a folder."""
    (folder / "policy.py").mkdir()
    (folder / "policy.py" / "__init__.py").write_text(HONEST.format("A package in the place of a file."))


def _write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)


BUILDERS: dict[str, Callable[[Path], None]] = {
    name: value for name, value in list(globals().items()) if isinstance(value, type(_write)) and name[0] != "_"
}
