"""Paths that an option names and that are wrong: one sentence, before anything is run, drawn or removed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

import kit
from commands import named_paths, worlds
from commands import run as run_command
from kit_world import refused, write_kit_world
from submissions import ROOT

STATIC = str(ROOT / "starting_kit" / "policies" / "static")
PAGE, SCORES, RESULTS = "scoring/detailed_results.html", "scoring/scores.json", "prediction/results.json"
FREE = "Expected: a folder, or a name that is free. Next: name another folder with --output, or move the file away."


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of two cases with its traces and reference."""
    return write_kit_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file where a folder is expected."""
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    return tmp_path / "file"


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The sentence of a command that cannot be run."""
    return refused(capsys, *arguments).removeprefix("kit.py: error: ")


@pytest.fixture
def run(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """What `kit.py run` says of wrong paths; it starts no program, and the last good page is still there."""
    monkeypatch.setattr(run_command, "run_shown", lambda *arguments: pytest.fail("a program was started"))
    output = tmp_path / "output"
    for name in (PAGE, SCORES, RESULTS):
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_text("good", encoding="utf-8")

    def say(**paths: object) -> str:
        mine = {"grid": world / "grid.yaml", "traces": world / "traces", "reference": world / "reference"}
        named = mine | {"output": output} | paths
        text = told(capsys, "run", STATIC, *(text for name in named for text in (f"--{name}", named[name])))
        assert all((output / name).read_text(encoding="utf-8") == "good" for name in (PAGE, SCORES, RESULTS))
        return text

    return say


def test_a_grid_that_is_a_folder(run, tmp_path: Path) -> None:
    expected = "Expected: sample, practice, official, or a grid file. Next: correct --grid."
    assert run(grid=tmp_path) == f"the grid file is missing. Got: {tmp_path}. {expected}"


@pytest.mark.parametrize(("option", "holds"), [("traces", "traces"), ("reference", "ds_eplb.json")])
def test_a_file_for_a_folder(run, file: Path, option: str, holds: str) -> None:
    text = f"--{option} is not a folder. Got: {file}. Expected: a folder with {holds}. Next: correct --{option}."
    assert run(**{option: file}) == text


def test_a_trace_that_is_missing(run, tmp_path: Path) -> None:
    assert run(traces=tmp_path / "nowhere") == (
        f"trace Small/one: the trace is missing. Got: no file {tmp_path / 'nowhere/Small/one'}.npy, .npz or .sealed. "
        "Expected: one of the three. Next: name the folder of the grid's traces with --traces."
    )


@pytest.mark.parametrize("below", ["", "below", "below/that"])
def test_a_file_in_the_way_of_the_output(run, file: Path, below: str) -> None:
    assert run(output=file / below) == f"a file is in the way of --output. Got: {file}. {FREE}"
    assert file.read_text(encoding="utf-8") == "kept"


def test_a_file_in_the_output_in_the_way_of_its_folders(run, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "scoring").touch()
    text = run(output=tmp_path / "other")
    assert text == f"a file is in the way of --output. Got: {tmp_path / 'other' / 'scoring'}. {FREE}"


def test_a_link_that_leads_nowhere_is_in_the_way(run, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert run(output=tmp_path / "link") == f"a file is in the way of --output. Got: {tmp_path / 'link'}. {FREE}"


def test_an_output_without_the_right_to_write(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever runs the tests may have every right.
    locked, access = tmp_path / "locked", os.access
    locked.mkdir()
    monkeypatch.setattr(named_paths.os, "access", lambda path, mode: Path(path) != locked and access(path, mode))
    assert run(output=locked / "mine") == (
        f"--output cannot be written. Got: no right to write into {locked}. "
        "Expected: a writable folder. Next: name another folder with --output."
    )


def test_a_reference_that_is_not_there_draws_nothing(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worlds, "OUTPUT", tmp_path / "drawn")
    text = told(capsys, "run", STATIC, "--grid", "practice", "--reference", tmp_path, "--output", tmp_path / "out")
    assert text == (
        f"the reference is missing. Got: no {tmp_path / 'ds_eplb.json'}. Expected: the file that kit.py reference "
        "writes. "
        "Next: correct --reference, or leave it out: the reference is then measured."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_trace_is_no_matter_of_organizers(world: Path, tmp_path: Path, capfd) -> None:
    (tmp_path / "traces" / "Small").mkdir(parents=True)
    (tmp_path / "traces" / "Small" / "one.npy").write_bytes(b"no array")
    content = yaml.safe_load((world / "grid.yaml").read_text(encoding="utf-8"))
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(content | {"cases": content["cases"][:1]}), encoding="utf-8")
    paths = ["--grid", tmp_path / "grid.yaml", "--traces", tmp_path / "traces", "--output", tmp_path / "output"]
    reference = tmp_path / "reference"
    reference.mkdir()
    stored = yaml.safe_load((world / "reference" / "ds_eplb.json").read_text(encoding="utf-8"))
    (reference / "ds_eplb.json").write_text(
        json.dumps(stored | {"cases": [row for row in stored["cases"] if row["model"] == "Small"]}), encoding="utf-8"
    )
    assert kit.main([str(word) for word in ("run", STATIC, *paths, "--reference", reference)]) == 2
    last = capfd.readouterr().out.splitlines()[-1]
    assert last.startswith("No score: data_unavailable: trace Small/one: the trace cannot be read. Got: ValueError: ")
    assert last.endswith(" Next: copy one.npy again and compare it with its manifest.")


def test_an_earlier_run_is_not_shown_after_one_that_did_not_end(world: Path, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(run_command, "run_shown", lambda *arguments: None)
    (tmp_path / "scoring").mkdir()
    (tmp_path / PAGE).write_text("good", encoding="utf-8")
    paths = ("--grid", world / "grid.yaml", "--traces", world / "traces", "--reference", world / "reference")
    assert kit.main([str(word) for word in ("run", STATIC, *paths, "--output", tmp_path)]) == 2
    assert capsys.readouterr().out.splitlines()[-1] == run_command.NO_RESULTS
    assert not (tmp_path / PAGE).exists()


@pytest.mark.parametrize(
    "command",
    [
        ("compare", STATIC, STATIC),
        ("reference", "--grid", "sample"),
        ("generate",),
        ("convert", "dump", "--from", "adrs", "--model", "M", "--dataset", "d", "--licence", "MIT"),
        ("statistics", "--traces", "traces"),
    ],
)
def test_other_commands_name_a_file_in_the_way(command: tuple[str, ...], file: Path, capsys) -> None:
    text = told(capsys, *command, "--output", file / "below")
    assert text == f"a file is in the way of --output. Got: {file}. {FREE}"


@pytest.mark.parametrize(
    "command", [("pack", STATIC), ("calibrate", "--profile", "DS-R1/Mix", "--published", "published.csv")]
)
def test_a_folder_for_a_file(command: tuple[str, ...], tmp_path: Path, capsys) -> None:
    folder = tmp_path / "folder.zip"
    folder.mkdir()
    text = f"--output is a folder. Got: {folder}. Expected: the name of a file. Next: correct --output."
    assert told(capsys, *command, "--output", folder) == text


@pytest.mark.parametrize("option", ["table", "image"])
def test_a_file_in_the_way_of_a_table(option: str, file: Path, capsys) -> None:
    words = ("calibrate", "--profile", "DS-R1/Mix", "--published", "published.csv", f"--{option}", file / "below")
    assert told(capsys, *words) == (
        f"a file is in the way of --{option}. Got: {file}. Expected: a folder, or a name that is free. "
        f"Next: name another folder with --{option}, or move the file away."
    )


def test_a_zip_s_name_that_the_platform_refuses(tmp_path: Path, capsys) -> None:
    refusal = "the zip's name is too long. Got: 65 characters. Expected: at most 64 characters, Codabench's limit. "
    name = "x" * 61 + ".zip"
    text = told(capsys, "pack", STATIC, "--output", tmp_path / name)
    assert text == refusal + "Next: name another --output."
    with pytest.raises(kit.UsageError, match="the zip's name is too long"):
        kit.pack(STATIC, tmp_path / name)
    assert kit.pack(STATIC, tmp_path / name[1:]).is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name[1:]]
