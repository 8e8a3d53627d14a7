"""Key files: taken and deleted by a run, read and kept by the organizers' tools."""

from __future__ import annotations

import ctypes
import re
import sys
from pathlib import Path

import pytest

from placement.errors import OrganizerError
from placement.traces.keys import kept_in_memory, read_key, take_key

KEY = bytes(range(32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a key."""
    file = tmp_path / "keys" / "trace.key"
    file.parent.mkdir()
    file.write_text(f"{KEY.hex()}\n", encoding="ascii")
    return file


def test_a_taken_key_is_gone(path: Path) -> None:
    assert take_key(path) == KEY
    assert not path.exists() and take_key(path) is None


def test_a_read_key_stays(path: Path) -> None:
    assert read_key(path) == read_key(path) == KEY


def test_a_malformed_key_is_named_by_its_file_and_gone_when_taken(path: Path) -> None:
    path.write_text("0" * 63, encoding="ascii")
    wrong = "keys/trace.key has the wrong form. Got: 63 bytes of another form. Expected: 64 hexadecimal characters. "
    with pytest.raises(OrganizerError) as caught:
        read_key(path)
    assert str(caught.value) == f"{wrong}Next: name the key file that `python tools/bundle.py keys` made."
    with pytest.raises(OrganizerError) as caught:
        take_key(path)
    assert str(caught.value) == (
        f"{wrong}Next: nothing for participants to do; organizers correct the ingestion program's keys."
    )
    assert not path.exists()


def test_a_missing_key_can_be_taken_but_not_read(tmp_path: Path) -> None:
    assert take_key(tmp_path / "keys" / "trace.key") is None
    with pytest.raises(OrganizerError, match="FileNotFoundError: No such file or directory"):
        read_key(tmp_path / "keys" / "trace.key")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is locked")
def test_a_key_is_kept_out_of_swap() -> None:
    # Large enough to have pages of its own.
    key = bytes(range(256)) * 64
    place = ctypes.cast(ctypes.c_char_p(key), ctypes.c_void_p).value
    before = locked_around(place)
    assert kept_in_memory(key) is key
    assert (before, locked_around(place)) == (False, True)


def locked_around(place: int) -> bool:
    """Whether the mapping around an address is locked, as the kernel tells."""
    found = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if edges := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            found = int(edges[1], 16) <= place < int(edges[2], 16)
        elif found and line.startswith("VmFlags:"):
            return "lo" in line.split()
    raise AssertionError(f"nothing is mapped at {place:x}")
