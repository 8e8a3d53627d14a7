"""A participant's own traces: the grid made for them, their reference, measured once, and what is said of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import kit
from commands import own_traces, worlds
from commands.fitting import fitting_eps
from commands.own_traces import own_grid, own_world
from commands.places import GRIDS, kit_command, short
from commands.selection import read_grid
from placement.errors import OrganizerError
from placement.traces.yaml_file import read_yaml
from submissions import ROOT
from traces.manifest import entry_of, write_manifest

STATIC, DS_EPLB = (ROOT / "starting_kit" / "policies" / name for name in ("static", "ds_eplb"))
OR_GRID = ", or name a grid with --grid."


@pytest.fixture
def traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a trace of 4 experts and its manifest; what is made of it is kept beside."""
    monkeypatch.setattr(own_traces, "OUTPUT", tmp_path / "kept")
    hotness = np.tile(np.array([40, 20, 1, 0], np.int32), (24, 2, 1))
    (tmp_path / "traces" / "Mine").mkdir(parents=True)
    np.save(tmp_path / "traces" / "Mine" / "chat.npy", hotness)
    entry = entry_of("Mine/chat.npy", hotness, "recorded: a test", "CC0-1.0")
    write_manifest(tmp_path / "traces", {"traces": {"Mine/chat": entry}})
    return tmp_path / "traces"


def listed(folder: Path, **shapes: Any) -> Path:
    """A folder whose manifest lists traces MODEL__DATASET of these shapes."""
    entries = {name.replace("__", "/"): {"shape": shape, "sha256": name} for name, shape in shapes.items()}
    write_manifest(folder, {"traces": entries})
    return folder


def test_the_seconds_of_a_case_and_of_the_grid_grow_with_the_longest_trace(tmp_path: Path) -> None:
    limits = [own_grid(listed(tmp_path, M__a=[300, 2, 4], M__b=[length, 2, 4]))["limits"] for length in (6144, 12289)]
    assert limits[1] == limits[0] | {"case_seconds": 180, "grid_seconds": 4500}


def test_the_grid_has_the_sizes_of_the_shipped_grids(tmp_path: Path) -> None:
    names = {"DS-R1__a": [5000, 58, 256], "DS-R1__b": [6144, 58, 256], "Qwen3__a": [4096, 94, 128]}
    content = own_grid(listed(tmp_path, **names))
    official = read_yaml(GRIDS["official"], "grid")
    assert content["models"] == official["models"]
    assert {key: content[key] for key in ("window", "latency", "cost", "limits")} == {
        key: official[key] for key in ("window", "latency", "cost", "limits")
    }
    of_model = {row["model"]: row["ep"] for row in official["cases"]}
    assert [(row["model"], row["dataset"], row["ep"]) for row in content["cases"]] == [
        ("DS-R1", "a", of_model["DS-R1"]),
        ("DS-R1", "b", of_model["DS-R1"]),
        ("Qwen3", "a", of_model["Qwen3"]),
    ]


def test_the_sample_traces_have_the_sample_grid() -> None:
    content, sample = own_grid(ROOT / "sample_traces"), read_yaml(GRIDS["sample"], "grid")
    assert content | {"name": "sample"} == sample


def test_the_shortest_trace_makes_the_window(tmp_path: Path) -> None:
    assert own_grid(listed(tmp_path, A__a=[5000, 1, 8], B__b=[300, 1, 8]))["window"] == 64


@pytest.mark.parametrize(("experts", "eps"), [(384, [32, 64, 128]), (160, [32, 40, 80, 160]), (8, [2, 4, 8]), (7, [7])])
def test_other_numbers_of_experts_have_divisors(experts: int, eps: list[int]) -> None:
    assert fitting_eps(experts) == eps


@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        (
            {"M__a": [9, 1, 8], "M__b": [9, 2, 8]},
            "trace M/b: a model has two sizes. Got: {'layers': 2, 'experts': 8} beside {'layers': 1, 'experts': 8}. "
            f"Expected: one size for all traces of M. Next: rename one of the models{OR_GRID}",
        ),
        (
            {"M__a": [9, 1, 1]},
            "trace M/a: no number of devices fits the experts. Got: 1 experts. Expected: two experts or more. "
            f"Next: leave the trace out{OR_GRID}",
        ),
        (
            {"M__a": [9, 8]},
            "trace M/a: the manifest's shape is not the shape of a trace. Got: [9, 8]. Expected: [iterations, layers, "
            "experts]. "
            f"Next: correct manifest.yaml{OR_GRID}",
        ),
    ],
)
def test_traces_without_a_grid_are_named(tmp_path: Path, shapes: dict[str, Any], text: str) -> None:
    with pytest.raises(kit.UsageError) as caught:
        own_grid(listed(tmp_path, **shapes))
    assert str(caught.value) == text


def test_a_folder_without_a_manifest_or_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make = "make the manifest with kit.py convert or kit.py generate"
    for folder, text in (
        (
            tmp_path,
            f"no manifest lists the traces. Got: none in {tmp_path / 'manifest.yaml'}. Expected: an entry for each "
            "trace. "
            f"Next: {make}{OR_GRID}",
        ),
        (
            tmp_path / "nowhere",
            f"--traces is not a folder. Got: {tmp_path / 'nowhere'}. Expected: a folder with manifest.yaml. "
            "Next: correct --traces.",
        ),
    ):
        with pytest.raises(SystemExit, match="2"):
            kit.main(["run", str(STATIC), "--traces", str(folder), "--output", str(tmp_path / "output")])
        assert capsys.readouterr().err.splitlines()[-1] == f"kit.py: error: {text}"
    assert list(tmp_path.iterdir()) == []


def test_a_listed_trace_that_is_missing_is_named_before_anything_is_measured(traces: Path) -> None:
    (traces / "Mine" / "chat.npy").unlink()
    with pytest.raises(kit.UsageError, match=r"^trace Mine/chat: the trace is missing\. "):
        worlds.world_of(None, traces, show=lambda line: pytest.fail(line))


def test_a_run_measures_the_reference_once(traces: Path, tmp_path: Path, capfd, monkeypatch) -> None:
    command = ["run", str(DS_EPLB), "--traces", str(traces), "--output", str(tmp_path / "output")]
    assert kit.main(command) == 0
    lines = capfd.readouterr().out.splitlines()
    (kept,) = (tmp_path / "kept" / "own").iterdir()
    assert lines[:3] == [
        f"grid of {traces}: Mine/chat ep 2, 4; window 4, which fits four times into the shortest trace",
        f"kept in {kept}; for other cases, change a copy of its grid.yaml and name the copy with --grid",
        "measures DS-EPLB on these traces, once",
    ]
    assert lines[-1] == "composite_score: 100.0000"
    assert (tmp_path / "output" / "scoring" / "detailed_results.html").is_file()
    monkeypatch.setattr(own_traces, "measure_reference", lambda *arguments: pytest.fail("measured again"))
    frame = kit.run(STATIC, traces=traces, cases=["Mine/chat:2"])
    assert len(frame) == 1 and frame.attrs["mean_case_score"] > 0
    # What a reference was measured for is named as any other.
    assert kit.run(DS_EPLB, kept / "grid.yaml", traces, kept / "reference").attrs["composite_score"] == 100
    assert kit.replay(STATIC, "Mine/chat:4", 2, traces=traces).iteration == 10
    table = kit.compare(STATIC, DS_EPLB, traces=traces, seeds=0, output=tmp_path / "compare")
    assert list(table.index) == ["Mine/chat ep 2", "Mine/chat ep 4", "composite_score"]


def test_check_takes_the_sizes_and_the_window_of_the_traces(traces: Path, tmp_path: Path, capfd) -> None:
    assert kit.main(["check", str(STATIC), "--traces", str(traces)]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith(f"grid of {traces}: Mine/chat ep 2, 4; window 4, ")
    assert [line.partition(":")[0] for line in lines[2:4]] == ["Mine ep 2", "Mine ep 4"]
    assert lines[-1].endswith(f"Next: {kit_command('run', short(STATIC), '--traces', traces)}")
    assert not list((tmp_path / "kept" / "own").glob("*/reference")), "check measures nothing"
    with pytest.raises(SystemExit, match="2"):
        kit.main(["check", str(STATIC), "--traces", str(traces), "--grid", "practice"])
    assert capfd.readouterr().err.splitlines()[-1] == (
        f"kit.py: error: --grid and --traces exclude each other. Got: --grid {short(GRIDS['practice'])} and --traces "
        f"{traces}. "
        "Expected: --grid or --traces. Next: leave one of them out."
    )


def test_a_reference_that_is_named_is_taken(traces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_traces, "measure_reference", lambda *arguments: pytest.fail("measured"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "ds_eplb.json").touch()
    world = worlds.world_of(None, traces, tmp_path / "mine", show=lambda line: None)
    assert world.reference == tmp_path / "mine" and read_grid(world.grid).name == "own"


def test_other_traces_and_programs_have_another_place(traces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [own_world(traces).reference]
    assert own_world(traces).reference == places[0]
    manifest = yaml.safe_load((traces / "manifest.yaml").read_text(encoding="utf-8"))
    manifest["traces"]["Mine/chat"]["sha256"] = "another"
    write_manifest(traces, manifest)
    places.append(own_world(traces).reference)
    monkeypatch.setattr(own_traces, "simulator_sha256", lambda: "another")
    places.append(own_world(traces).reference)
    assert len(set(places)) == 3


def test_a_trace_that_cannot_be_measured_says_why(traces: Path) -> None:
    short = np.ones((2, 2, 4), np.int32)
    np.save(traces / "Mine" / "chat.npy", short)
    write_manifest(traces, {"traces": {"Mine/chat": entry_of("Mine/chat.npy", short, "recorded: a test", "CC0-1.0")}})
    with pytest.raises(
        kit.UsageError, match=r"^there is no reference for these traces\. Got: trace Mine/chat: .* too short"
    ):
        worlds.world_of(None, traces, show=lambda line: None)


def test_a_malformed_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.yaml").write_text("traces: [1]\n", encoding="utf-8")
    with pytest.raises(OrganizerError, match="the manifest has the wrong form"):
        own_grid(tmp_path)
