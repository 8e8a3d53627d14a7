"""YAML files: whatever is wrong with one is told in a sentence, and no reader has a loader of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from placement.errors import OrganizerError
from placement.traces import yaml_file
from placement.traces.yaml_file import parse_yaml, read_yaml

ROOT = Path(__file__).resolve().parent.parent
NESTED = "lists or mappings that are nested too deeply, or hold themselves"
# Each line stands for ten times, or twice, what the one before stands for.
TENFOLD = "a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(30))
MERGED = "a0: &a0 {x: 1}\n" + "".join(f"a{n + 1}: &a{n + 1} {{<<: [*a{n}, *a{n}]}}\n" for n in range(60))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"!!bool x", "a value that is not of its type (KeyError)"),
        (b"!!int ''", "a value that is not of its type (IndexError)"),
        (b"!!timestamp 1", "a value that is not of its type (AttributeError)"),
        (b"2026-13-41", "a value that is not of its type (ValueError)"),
        (b"1" * 5000, "a value that is not of its type (ValueError)"),
        (b"[" * 5000, NESTED),
        (b"&a [*a]", NESTED),
        (TENFOLD.encode(), "more than 100000 values"),
        (MERGED.encode(), "more than 100000 values"),
        (b"x" * (2**22 + 1), "more than 4194304 bytes"),
        (b"\xff", "no UTF-8: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (
            b"a: [",
            "ParserError: while parsing a flow node expected the node content, but found '<stream end>' in "
            '"<unicode string>", line 1, column 5: a: [ ^',
        ),
        (
            b"!!python/object:os.system {}",
            "ConstructorError: could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/object:os.system' in \"<unicode string>\", line 1, column 1: "
            "!!python/object:os.system {} ^",
        ),
        (b"? [a]\n: b", 'ConstructorError: while constructing a mapping in "<unicode string>", line 1, column 1: '),
    ],
)
def test_whatever_cannot_be_read_is_a_line(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}") as caught:
        parse_yaml(data)
    assert "\n" not in str(caught.value) and type(caught.value) is ValueError


def test_a_machine_without_memory_is_no_fault_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def used_up(loader: object) -> None:
        raise MemoryError

    monkeypatch.setattr(yaml_file, "_content", used_up)
    with pytest.raises(MemoryError):
        parse_yaml(b"a: 1")


def test_aliases_and_an_empty_file_are_read() -> None:
    assert parse_yaml(b"a: &a {x: 1}\nb: [*a, {<<: *a, y: 2}]") == {"a": {"x": 1}, "b": [{"x": 1}, {"x": 1, "y": 2}]}
    assert parse_yaml(b"") is None


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OrganizerError) as caught:
        read_yaml(tmp_path, "grid")
    assert str(caught.value) == (
        f"grid: the grid cannot be read. Got: IsADirectoryError: [Errno 21] Is a directory: '{tmp_path}'. Expected: a "
        f"YAML file {tmp_path}. Next: correct the path or the file."
    )


def test_no_reader_has_a_loader_of_its_own() -> None:
    folders = [ROOT / name for name in ("ingestion_program", "starting_kit", "tools")]
    calls = re.compile(r"yaml\.(safe_|full_|unsafe_)?load\(")
    paths = {path for folder in folders for path in folder.rglob("*.py")}
    assert {path.relative_to(ROOT).as_posix() for path in paths if calls.search(path.read_text("utf-8"))} == set()
