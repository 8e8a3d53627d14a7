"""Files that are removed and still in use: whatever holds them, they count."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from placement.isolation import landlock, nameless, scratch
from placement.isolation.nameless import nameless_bytes
from placement.isolation.usage import resident_memory
from submissions import ROOT, run_policy, sentence_of, write_policy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
SIZE = 2**20
HERE = os.getpid()
# The first thread ends, the second goes on.
HALF_ENDED = """
import ctypes, os, sys, threading, time
descriptor = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR)
os.write(descriptor, bytes(2**20))
os.unlink(sys.argv[1])
first = threading.main_thread().native_id
def go_on():
    while open(f"/proc/self/task/{first}/stat").read().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.001)
    print("ready", flush=True)
    time.sleep(600)
threading.Thread(target=go_on).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)
"""


def made(path: Path) -> int:
    """A descriptor of a new file of SIZE bytes."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
    os.write(descriptor, bytes(SIZE))
    return descriptor


def map_page(descriptor: int) -> Callable[[], int]:
    """Map a page as the C library does, which keeps no descriptor; gives what ends that."""
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    size = ctypes.c_size_t(mmap.PAGESIZE)
    address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_PRIVATE, descriptor, ctypes.c_long(0))
    return lambda: libc.munmap(ctypes.c_void_p(address), size)


def test_a_file_counts_from_its_removal_to_its_last_use(tmp_path: Path) -> None:
    descriptor = made(tmp_path / "file")
    assert nameless_bytes(HERE, tmp_path) == 0
    os.unlink(tmp_path / "file")
    second = os.dup(descriptor)
    assert nameless_bytes(HERE, tmp_path) == SIZE
    os.close(descriptor)
    assert nameless_bytes(HERE, tmp_path) == SIZE
    os.close(second)
    assert nameless_bytes(HERE, tmp_path) == 0


def test_a_file_in_whose_place_another_is_put_counts(tmp_path: Path) -> None:
    descriptor = made(tmp_path / "file")
    (tmp_path / "other").touch()
    os.rename(tmp_path / "other", tmp_path / "file")
    assert nameless_bytes(HERE, tmp_path) == SIZE
    os.close(descriptor)


def test_a_file_that_a_mapping_alone_holds_counts_as_the_largest(tmp_path: Path) -> None:
    descriptor = made(tmp_path / "file")
    end = map_page(descriptor)
    os.unlink(tmp_path / "file")
    assert nameless_bytes(HERE, tmp_path) == SIZE
    os.close(descriptor)
    assert nameless_bytes(HERE, tmp_path) == nameless.LARGEST_FILE_BYTES
    end()
    assert nameless_bytes(HERE, tmp_path) == 0


def test_windows_and_files_removed_elsewhere_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    descriptors = [made(tmp_path / "scratch-2"), os.memfd_create("window")]
    os.unlink(tmp_path / "scratch-2")
    assert nameless_bytes(HERE, tmp_path / "scratch") == 0
    for descriptor in descriptors:
        os.close(descriptor)


def test_a_file_in_removed_folders_deeper_than_a_path_can_be_counts(tmp_path: Path) -> None:
    names, folders, here = ["x" * 250] * 20, [os.open(tmp_path, os.O_RDONLY)], os.getcwd()
    for name in names:
        os.mkdir(name, dir_fd=folders[-1])
        folders.append(os.open(name, os.O_RDONLY, dir_fd=folders[-1]))
    os.fchdir(folders[-1])
    try:
        descriptor = made(Path("file"))
        os.unlink("file")
    finally:
        os.chdir(here)
    for name in names:
        os.close(folders.pop())
        os.rmdir(name, dir_fd=folders[-1])
    os.close(folders.pop())
    assert nameless_bytes(HERE, tmp_path) == SIZE
    os.close(descriptor)


def test_a_process_whose_first_thread_has_ended_is_counted(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HALF_ENDED, str(tmp_path / "file")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as half_ended:
        try:
            assert half_ended.stdout.readline() == "ready\n"
            assert nameless_bytes(half_ended.pid, tmp_path) == SIZE
            # The memory of Python alone.
            assert resident_memory(half_ended.pid) > 2**20
        finally:
            half_ended.kill()
    assert nameless_bytes(half_ended.pid, tmp_path) == resident_memory(half_ended.pid) == 0


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small file system of its own, on which all scratch folders lie."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128m", "test", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"nothing can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        monkeypatch.setattr(scratch.tempfile, "tempdir", str(place))
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def used(disk: Path) -> int:
    """Bytes that are taken on a file system."""
    status = os.statvfs(disk)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


HOLDS = """
import ctypes, mmap, os, threading
TMP, kept = os.environ["TMPDIR"], []

def made(name, size=2**21):
    kept.append(os.open(f"{TMP}/{name}", os.O_CREAT | os.O_RDWR))
    os.write(kept[-1], bytes(size))
    return kept[-1]

def named():
    os.close(made("named"))

def removed():
    made("removed")
    os.unlink(f"{TMP}/removed")

def replaced():
    made("replaced")
    open(f"{TMP}/other", "x").close()
    os.rename(f"{TMP}/other", f"{TMP}/replaced")

def read_only():
    os.close(made("read"))
    os.open(f"{TMP}/read", os.O_RDONLY)
    os.unlink(f"{TMP}/read")

def path_only():
    os.close(made("path"))
    os.open(f"{TMP}/path", os.O_PATH)
    os.unlink(f"{TMP}/path")

def linked():
    made("first")
    os.link(f"{TMP}/first", f"{TMP}/second")
    os.unlink(f"{TMP}/first")

def in_a_folder():
    os.mkdir(f"{TMP}/folder")
    made("folder/file")
    os.unlink(f"{TMP}/folder/file")
    os.rmdir(f"{TMP}/folder")

def mapped():
    descriptor = made("mapped")
    libc.mmap(None, mmap.PAGESIZE, mmap.PROT_READ, mmap.MAP_PRIVATE, descriptor, 0)
    os.close(descriptor)
    os.unlink(f"{TMP}/mapped")

def sparse():
    descriptor = os.open(f"{TMP}/sparse", os.O_CREAT | os.O_RDWR)
    os.ftruncate(descriptor, 2**26)
    os.unlink(f"{TMP}/sparse")
    kept.append(mmap.mmap(descriptor, 2**26))
    kept[-1][:2**21] = bytes(2**21)
    os.close(descriptor)

def many():
    for number in range(60):
        made(f"many{number}", 2**15)
        os.unlink(f"{TMP}/many{number}")

def in_a_thread():
    thread = threading.Thread(target=removed)
    thread.start()
    thread.join()

libc = ctypes.CDLL(None)
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
WAYS = [named, removed, replaced, read_only, path_only, linked, in_a_folder, mapped, sparse, many, in_a_thread]

def rebalance(hotness, n_device, n_red_expert):
    while WAYS:
        WAYS.pop()()
    return False, None, None, None
"""


def test_nothing_that_a_policy_holds_on_the_disk_is_left_out_of_the_count(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, seen = scratch.Scratch._counted, []

    def compare(self: scratch.Scratch, removed: int) -> str:
        with monkeypatch.context() as patch:
            patch.setattr(scratch, "LARGEST_BYTES", -1)
            seen.append((int(counted(self, removed).split()[0]), used(disk)))
        return counted(self, removed)

    monkeypatch.setattr(scratch.Scratch, "_counted", compare)
    # As large as the file that a mapping alone holds, so that this one makes up for no other.
    monkeypatch.setattr(nameless, "LARGEST_FILE_BYTES", 2**21)
    outcome = run_policy(write_policy(tmp_path / "policy", HOLDS))
    assert outcome.row["status"] == "ok", f"{sentence_of(outcome.row)}\n{outcome.log}"
    assert [(counted, held) for counted, held in seen if held > counted] == []
    # Eleven ways to hold two megabytes.
    assert max(held for _, held in seen) >= 22 * 2**20 - 2**17 and used(disk) == 0


ISOLATED = """
import sys
from pathlib import Path
from placement.isolation.sandbox import enter
print("files" in enter(Path(sys.argv[1]), Path(sys.argv[1]), 2**32, 60), flush=True)
sys.stdin.read()
"""
LOOKS = """
import ctypes, os

def tried(action):
    try:
        action()
        return "done"
    except OSError as error:
        return type(error).__name__

PLACE = f"/proc/{OTHER}"
for action in (
    lambda: os.readlink(f"{PLACE}/fd/0"),
    lambda: os.stat(f"{PLACE}/fd/0"),
    lambda: os.open(f"{PLACE}/fd/0", os.O_PATH),
    lambda: os.readlink(f"{PLACE}/cwd"),
    lambda: os.open(f"{PLACE}/mem", os.O_RDWR),
    lambda: os.open(f"{PLACE}/maps", os.O_RDONLY),
):
    print(tried(action), flush=True)

def rebalance(hotness, n_device, n_red_expert):
    return False, None, None, None
"""


@pytest.mark.skipif(not landlock.version(), reason="a process without Landlock hides from everybody")
def test_a_policy_that_the_simulator_looks_into_is_closed_to_another_policy(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(ROOT / "ingestion_program")}
    command = [sys.executable, "-c", ISOLATED, str(tmp_path)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True, env=environment) as other:
        assert other.stdout.readline() == "True\n"
        assert os.listdir(f"/proc/{other.pid}/fd")
        outcome = run_policy(write_policy(tmp_path / "policy", f"OTHER = {other.pid}\n{LOOKS}"))
        other.stdin.close()
    assert outcome.log.split() == ["PermissionError"] * 6, outcome.log
