"""The key that signs results, what is signed with it, and that it is gone before a policy could look for it."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from pathlib import Path
from typing import Any

import pytest

import ingestion
from placement.errors import OrganizerError
from placement.evaluation.result_files import FILES
from placement.evaluation.signature import PUBLISHED_KEY, sign, signing_key
from scores import authenticity
from submissions import DECLINES, write_policy, write_world

KEY = bytes(range(200, 232))
NEXT = "Next: nothing for participants to do; organizers correct the ingestion program's keys."


def write_key(program: Path, text: str | bytes = KEY.hex()) -> Path:
    """Write keys/signing.key into a program's folder and return its path."""
    path = program / "keys" / "signing.key"
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def forbid_deletion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every deletion of a signing.key fail, as on a read-only copy of the program."""
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.name == "signing.key":
            raise OSError(30, "Read-only file system")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)


# The key


def test_a_key_is_deleted_after_being_taken(tmp_path: Path) -> None:
    path = write_key(tmp_path)
    assert signing_key(tmp_path) == KEY
    assert not path.exists()
    assert signing_key(tmp_path) == PUBLISHED_KEY


@pytest.mark.parametrize("text", [f"\n  {KEY.hex()}\r\n", KEY.hex().upper()])
def test_space_around_a_key_and_the_case_of_its_letters_do_not_matter(tmp_path: Path, text: str) -> None:
    write_key(tmp_path, text)
    assert signing_key(tmp_path) == KEY


def test_without_a_file_the_key_is_the_published_one_and_the_scorer_s(tmp_path: Path) -> None:
    assert signing_key(tmp_path) == PUBLISHED_KEY == authenticity.PUBLISHED_KEY


@pytest.mark.parametrize(
    "text",
    ["", "\n", KEY.hex()[1:], KEY.hex() + "0", "x" * 64, f"{KEY.hex()[:32]} {KEY.hex()[32:]}", b"\xff" * 64, KEY],
)
def test_a_malformed_key_is_refused_deleted_and_not_shown(tmp_path: Path, text: str | bytes) -> None:
    path = write_key(tmp_path, text)
    with pytest.raises(OrganizerError) as refused:
        signing_key(tmp_path)
    length = len(text.strip())
    assert str(refused.value) == (
        f"signature: keys/signing.key has the wrong form. Got: {length} bytes of another form. "
        f"Expected: 64 hexadecimal characters. {NEXT}"
    )
    assert not path.exists()


def test_a_key_that_cannot_be_deleted_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_key(tmp_path)
    forbid_deletion(monkeypatch)
    with pytest.raises(OrganizerError) as refused:
        signing_key(tmp_path)
    assert str(refused.value) == (
        "signature: keys/signing.key cannot be deleted. Got: OSError: Read-only file system. Expected: a writable copy "
        "of the "
        f"program, because a policy could read a key file that stays. {NEXT}"
    )


def test_a_key_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys" / "signing.key").mkdir(parents=True)
    with pytest.raises(OrganizerError) as refused:
        signing_key(tmp_path)
    assert str(refused.value) == (
        "signature: keys/signing.key cannot be read. Got: IsADirectoryError: Is a directory. "
        f"Expected: a file with the key. {NEXT}"
    )


def test_a_signature_is_the_hmac_sha256_of_the_exact_bytes() -> None:
    # RFC 4231, test case 2.
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert sign(b"what do ya want for nothing?", b"Jefe") == expected
    assert sign(b"what do ya want for nothing?\n", b"Jefe") != expected


# A run


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny grid, a submission without a policy, and a folder `program` that stands for the program's own."""
    monkeypatch.setattr(ingestion, "PROGRAM", tmp_path / "program")
    (tmp_path / "submission").mkdir()
    return write_world(tmp_path)


def run(world: Path) -> tuple[int, dict[str, Any]]:
    """Run the ingestion program in this process: its exit code and its results."""
    places = {"submission": "submission", "traces": "traces", "grid": "grid.yaml", "output": "output"}
    arguments = [text for option, place in places.items() for text in (f"--{option}", str(world / place))]
    code = ingestion.main(arguments)
    output = world / "output"
    assert {path.name for path in output.iterdir()} == set(FILES)
    results = json.loads((output / "results.json").read_bytes())
    assert results["companions"] == {
        name: hashlib.sha256((output / name).read_bytes()).hexdigest() for name in authenticity.COMPANIONS
    }
    return code, results


def is_signed(world: Path, key: bytes) -> bool:
    """Whether results.sig signs results.json with a key, by a computation of its own."""
    data = (world / "output" / "results.json").read_bytes()
    text = (world / "output" / "results.sig").read_bytes()
    return text == hmac.new(key, data, hashlib.sha256).hexdigest().encode() + b"\n"


def test_a_scored_run_is_signed_with_the_program_s_key(world: Path) -> None:
    path = write_key(world / "program")
    write_policy(world / "submission", DECLINES)
    assert run(world)[0] == 0
    assert is_signed(world, KEY) and not is_signed(world, PUBLISHED_KEY)
    assert not path.exists()


def test_a_run_without_a_key_is_signed_with_the_published_one(world: Path) -> None:
    write_policy(world / "submission", DECLINES.replace("return", "return 1 / 0,"))
    assert run(world)[1]["status"] == "failed"
    assert is_signed(world, PUBLISHED_KEY)


def test_a_refused_run_is_signed_and_the_key_gone(world: Path) -> None:
    path = write_key(world / "program")
    code, results = run(world)
    assert (code, results["status"]) == (1, "refused")
    assert is_signed(world, KEY) and not path.exists()


def test_an_organizer_s_error_is_signed(world: Path) -> None:
    write_key(world / "program")
    (world / "grid.yaml").unlink()
    code, results = run(world)
    assert (code, results["status"]) == (2, "data_unavailable")
    assert is_signed(world, KEY)


def test_a_defect_of_the_program_itself_is_signed(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_key(world / "program")
    monkeypatch.delattr(ingestion, "find_policy")
    assert run(world)[0] == 2
    assert is_signed(world, KEY)


def test_the_key_is_gone_before_anything_of_the_submission_is_looked_at(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, looked = write_key(world / "program"), []
    for name in ("clear", "find_policy"):
        function = getattr(ingestion, name)

        def look(folder: Path, name: str = name, function: Any = function) -> Any:
            looked.append((name, path.exists()))
            return function(folder)

        monkeypatch.setattr(ingestion, name, look)
    run(world)
    assert looked == [("clear", False), ("find_policy", False)]


@pytest.mark.parametrize("text", [KEY.hex(), "no key"])
def test_with_a_bad_key_no_policy_is_run(world: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    write_key(world / "program", text)
    write_policy(world / "submission", DECLINES)
    if text == KEY.hex():
        forbid_deletion(monkeypatch)
    monkeypatch.delattr(ingestion, "find_policy")
    code, results = run(world)
    assert (code, results["status"], results["cases"]) == (2, "data_unavailable", [])
    assert results["failure"]["where"] == "signature"
    assert results["failure"]["what"].startswith("keys/signing.key ")
    assert is_signed(world, PUBLISHED_KEY)


def test_start_and_duration_are_told_and_change_nothing_else(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, first = run(world)
    clock = iter([100.25, 107.7504])
    monkeypatch.setattr("placement.evaluation.clock.time.time", lambda: 1234.56789)
    monkeypatch.setattr("placement.evaluation.clock.time.monotonic", lambda: next(clock))
    _, second = run(world)
    assert (second["started_seconds"], second["duration_seconds"]) == (1234.568, 7.5)
    assert first | second == second and first.keys() == second.keys()
    assert {name for name in first if first[name] != second[name]} == {"started_seconds", "duration_seconds"}


def test_files_are_written_in_this_order_and_whole(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved, replace = [], os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: (moved.append(new.name), replace(old, new)))
    run(world)
    assert moved == ["series.npz", "explain.json", "decisions.npz", "results.json", "results.sig"]
