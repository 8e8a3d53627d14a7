"""The named grids: where their traces and references lie, and what is made at first use."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

import kit
from cases import grid_mapping
from commands import seeds, worlds
from commands.options import UsageError
from commands.places import GRIDS, REFERENCE, TRACES, grid_file, kit_command, short
from commands.worlds import official_estimate, world_of
from submissions import ROOT
from traces.manifest import read_manifest

CASES = [
    {"model": "DS-R1", "dataset": "LmSys", "ep": [2, 4]},
    {"model": "DS-R1", "dataset": "Mix", "ep": [2, 4]},
    {"model": "Qwen3", "dataset": "LmSys", "ep": [2]},
]
MODELS = {"DS-R1": {"layers": 1, "experts": 8}, "Qwen3": {"layers": 2, "experts": 8}}


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A practice grid of few layers and experts, and the folder that keeps what is made."""
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid_mapping(window=512, models=MODELS, cases=CASES)))
    monkeypatch.setitem(GRIDS, "practice", tmp_path / "grid.yaml")
    monkeypatch.setattr(worlds, "OUTPUT", tmp_path / "output")
    return tmp_path


def test_a_grid_is_named_or_a_file() -> None:
    assert grid_file("practice") == ROOT / "ingestion_program" / "grid_practice.yaml"
    assert grid_file("./practice") == Path("practice")
    assert grid_file("mine.yaml") == Path("mine.yaml")


def test_the_sample_grid_and_a_file_have_the_folders_that_ship_unless_others_are_named(tmp_path: Path) -> None:
    assert world_of("sample") == seeds.World(GRIDS["sample"], TRACES, REFERENCE)
    assert world_of("mine.yaml", tmp_path, tmp_path / "r") == seeds.World(Path("mine.yaml"), tmp_path, tmp_path / "r")
    assert world_of("practice", tmp_path, tmp_path / "r").traces == tmp_path


def test_the_practice_grids_traces_are_made_once_for_each_seed(tiny: Path) -> None:
    lines: list[str] = []
    made = world_of("practice", seed=3, show=lines.append)
    assert lines[0].startswith("draws 3 traces, 0.7 MB, into ") and len(lines) == 5
    assert lines[2] == "DS-R1/LmSys: drawn from seed 3000, [6144, 1, 8]"
    origins = {name: entry["origin"] for name, entry in read_manifest(made.traces)["traces"].items()}
    assert list(origins) == ["DS-R1/LmSys", "DS-R1/Mix", "Qwen3/LmSys"]
    assert "profile DS-R1/Mix" in origins["DS-R1/Mix"] and "seed 3001" in origins["DS-R1/Mix"]
    lines.clear()
    assert world_of("practice", seed=3, show=lines.append) == made and lines == []
    assert made.traces.parent.name == "seed-3"


def test_an_interrupted_practice_grid_goes_on_with_what_is_there(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def interrupted(parameters: object, *shape_and_seed: int) -> object:
        if len(drawn) == 1:
            raise KeyboardInterrupt
        drawn.append(shape_and_seed[-1])
        return generate(parameters, *shape_and_seed)

    generate = seeds.generate
    monkeypatch.setattr(seeds, "generate", interrupted)
    lines: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        world_of("practice", seed=3, show=lines.append)
    (kept,) = (tiny / "output" / "practice").iterdir()
    assert lines[-1] == f"the finished traces are kept in {kept}; repeat the same command to continue"
    monkeypatch.setattr(seeds, "generate", generate)
    lines.clear()
    world_of("practice", seed=3, show=lines.append)
    # 6144 iterations of 1 * 8 experts and 5120 of 2 * 8, four bytes each.
    assert lines[0] == f"1 of 3 traces are here; draws 2 traces, 0.5 MB, into {kept}"
    assert drawn == [3000] and [line.split(":")[0] for line in lines[2:]] == ["DS-R1/Mix", "Qwen3/LmSys"]


def test_a_command_that_was_interrupted_in_its_measurement_draws_nothing(tiny: Path, monkeypatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(seeds, "run_quiet", interrupted)
        with pytest.raises(KeyboardInterrupt):
            world_of("practice", seed=3, show=lambda line: None)
    lines: list[str] = []
    world_of("practice", seed=3, show=lines.append)
    assert lines == ["3 of 3 traces are here; measures DS-EPLB", "seed 3: measures DS-EPLB on the traces"]


def test_a_seed_is_not_negative_and_leaves_no_folder(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("run", "replay"):
        with pytest.raises(SystemExit, match="2"):
            kit.main([command, "--grid", "practice", "--seed", "-1"])
        text = f"kit.py {command}: error: argument --seed: -1 is less than 0"
        assert capsys.readouterr().err.splitlines()[-1] == text
    assert not (tiny / "output").exists()


@pytest.mark.parametrize("command", ["run", "replay"])
@pytest.mark.parametrize("options", [(), ("--grid", "practice", "--traces", "mine")])
def test_a_seed_that_nothing_is_drawn_from_is_refused(capsys, command: str, options: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match="2"):
        kit.main([command, *options, "--seed", "5"])
    got = "--traces mine" if options else f"the grid {short(GRIDS['sample'])}"
    assert capsys.readouterr().err.splitlines()[-1] == (
        "kit.py: error: --seed is for the practice grid, whose traces are drawn from the seed. "
        f"Got: --seed 5 with {got}. Expected: --grid practice without --traces. "
        "Next: leave --seed out."
    )


def test_the_estimate_weighs_each_trace_by_the_official_cases_like_it() -> None:
    rows = [("DS-R1", "LmSys", 110.0), ("DS-R1", "LmSys", 90.0), ("DS-R1", "Mix", 60.0), ("Qwen3", "LmSys", 104.0)]
    frame = pd.DataFrame(rows, columns=["model", "dataset", "case_score"])
    assert official_estimate(frame) == (12 * 100 + 4 * 60 + 9 * 104) / 25


def test_a_run_on_the_practice_grid_ends_with_the_estimate_which_the_list_of_runs_shows(
    tiny: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    policy = ROOT / "starting_kit" / "policies" / "ds_eplb"
    assert kit.main(["run", str(policy), "--grid", "practice", "--output", str(tiny / "run")]) == 0
    assert capfd.readouterr().out.splitlines()[-2:] == ["composite_score: 100.0000", "official_estimate: 100.0000"]
    assert kit.main(["runs", "--output", str(tiny / "run")]) == 0
    heading, run = (line.split()[-2:] for line in capfd.readouterr().out.splitlines())
    assert (heading, run) == (["composite_score", "official_estimate"], ["100.0000", "100.0000"])


def test_the_official_grid_without_its_traces_says_how_to_make_them(tiny: Path) -> None:
    with pytest.raises(UsageError) as caught:
        world_of("official")
    folder = tiny / "output" / "official"
    assert str(caught.value) == (
        f"the official grid's traces are not here; the organizers keep the recorded ones. Got: no {folder / 'traces'}. "
        "Expected: generated traces of that size (2.2 GB), or your own with --traces and --reference. "
        f"Next: {kit_command()} generate --output {folder}/traces --profile DS-R1/ShareGPT DS-R1/WildChat "
        "DS-R1/LmSys DS-R1/Mix Qwen3/ShareGPT Qwen3/WildChat Qwen3/LmSys, then "
        f"{kit_command()} reference --grid official --output {folder}/reference."
    )
