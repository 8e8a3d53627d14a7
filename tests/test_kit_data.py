"""Traces and references that are not there, or are another grid's: the kit refuses them before it runs a policy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

import kit
from cases import grid_mapping
from commands import run as run_command
from commands import worlds
from commands.places import GRIDS, REFERENCE, TRACES, kit_command
from kit_world import write_kit_world
from submissions import ROOT

POLICY = ROOT / "starting_kit" / "policies" / "static"
MAKE = kit_command()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of two cases with its traces and reference."""
    return write_kit_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def refusal(world: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """What `kit.py run` says of a grid, traces or a reference beside the tiny grid's; no program is started."""

    def say(**paths: object) -> str:
        paths = {"grid": world / "grid.yaml", "traces": world / "traces", "reference": world / "reference"} | paths
        arguments = [str(text) for name, path in paths.items() if path for text in (f"--{name}", path)]
        with pytest.raises(SystemExit, match="2"):
            kit.main(["run", str(POLICY), "--output", str(world / "output"), *arguments])
        printed = capsys.readouterr()
        assert printed.out == ""
        return printed.err.splitlines()[-1].removeprefix("kit.py: error: ")

    monkeypatch.setattr(run_command, "run_shown", lambda *arguments: pytest.fail("a program was started"))
    monkeypatch.setattr(worlds, "OUTPUT", world / "output")
    return say


def test_a_missing_trace_is_named(refusal, tmp_path: Path) -> None:
    assert refusal(traces=tmp_path / "nowhere") == (
        f"trace Small/one: the trace is missing. Got: no file {tmp_path / 'nowhere/Small/one'}.npy, .npz or .sealed. "
        "Expected: one of the three. Next: name the folder of the grid's traces with --traces."
    )


@pytest.mark.parametrize("command", [["replay", POLICY], ["compare", POLICY, POLICY, "--seeds", 0]])
def test_other_commands_name_a_missing_trace_too(world: Path, tmp_path: Path, capsys, command: list) -> None:
    with pytest.raises(SystemExit, match="2"):
        kit.main([*map(str, command), "--grid", str(world / "grid.yaml"), "--traces", str(tmp_path)])
    assert "error: trace Small/one: the trace is missing. Got: " in capsys.readouterr().err


@pytest.mark.parametrize(("name", "profile"), [("DS-R1/generated", ""), ("DS-R1/Mix", " --profile DS-R1/Mix")])
def test_a_trace_that_the_kit_can_make_comes_with_the_command(refusal, tmp_path: Path, name: str, profile: str) -> None:
    cases = [{"model": "DS-R1", "dataset": name.split("/")[1], "ep": [2]}]
    content = grid_mapping(models={"DS-R1": {"layers": 1, "experts": 8}}, cases=cases)
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(content))
    text = refusal(grid=tmp_path / "grid.yaml", traces=tmp_path / "t")
    assert text.endswith(f" --traces, or make the trace: {MAKE} generate --output {tmp_path / 't'}{profile}.")


def test_a_reference_that_is_not_there_comes_with_the_command_that_makes_it(refusal, world: Path, tmp_path) -> None:
    folder = tmp_path / "nowhere"
    assert refusal(reference=folder) == (
        f"{folder}/ds_eplb.json: cannot be read. Got: no such file. Expected: strict JSON. "
        f"Next: {MAKE} reference --grid {world}/grid.yaml --traces {world}/traces --output {folder}."
    )


def test_a_named_grid_has_a_reference_that_may_be_taken_instead(refusal, tmp_path: Path) -> None:
    text = refusal(grid="sample", traces=None, reference=tmp_path / "nowhere")
    traces = TRACES.relative_to(Path.cwd()) if TRACES.is_relative_to(Path.cwd()) else TRACES
    command = f"{MAKE} reference --grid sample --traces {traces} --output {tmp_path / 'nowhere'}"
    assert text.endswith(f" Next: {command}, or leave --reference out.")


def test_a_reference_of_another_format_is_refused_and_not_replaced(refusal, world: Path, tmp_path: Path) -> None:
    stored = json.loads((world / "reference" / "ds_eplb.json").read_text())
    (tmp_path / "ds_eplb.json").write_text(json.dumps(stored | {"format": 1}))
    text = refusal(reference=tmp_path)
    other = world / "output" / "reference"
    assert text.startswith(f"{tmp_path}/ds_eplb.json: ")
    assert ": was written by an older kit. Got: format 1. Expected: format 3. Next: " in text
    assert text.endswith(f" --output {other}, then use --reference {other}.")


def test_a_reference_of_another_grid_is_refused(refusal) -> None:
    text = refusal(reference=REFERENCE)
    assert ": the grid and its traces do not fit: cases are missing. Got: 2 cases, among them Small/one ep 4, " in text


def test_a_reference_of_other_traces_is_refused(refusal, world: Path, tmp_path: Path) -> None:
    traces = Path(shutil.copytree(world / "traces", tmp_path / "traces"))
    (traces / "manifest.yaml").write_text(yaml.safe_dump({"traces": {"Small/one": {"sha256": "abc"}}}))
    text = refusal(traces=traces)
    what = "the grid and its traces do not fit: Small/one ep 4 was measured with another trace_sha256"
    assert text.startswith(f'{world}/reference/ds_eplb.json: {what}. Got: "abc". Expected: "')


def test_some_cases_need_no_more_than_theirs(world: Path, tmp_path: Path) -> None:
    traces = Path(shutil.copytree(world / "traces", tmp_path / "traces"))
    shutil.rmtree(traces / "Large")
    frame = kit.run(POLICY, world / "grid.yaml", traces, world / "reference", cases=["Small/one:4"])
    assert len(frame) == 1


def test_the_sample_grid_fits_what_ships() -> None:
    world, grid = worlds.world_of("sample"), worlds.read_grid(GRIDS["sample"])
    worlds.check_traces(world, grid.cases)
    worlds.check_reference(world, grid, grid.cases)


def test_compare_names_a_folder_of_traces_that_is_not_there(world: Path, tmp_path: Path) -> None:
    with pytest.raises(kit.UsageError) as caught:
        kit.compare(POLICY, POLICY, grid=world / "grid.yaml", traces=tmp_path / "nowhere")
    got = f"Got: {tmp_path / 'nowhere'}. Expected: a folder with traces. Next: correct --traces."
    assert str(caught.value) == f"--traces is not a folder. {got}"
