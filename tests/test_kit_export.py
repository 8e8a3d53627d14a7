"""`export` writes what a policy stands at, and `run --placement` scores a file like the policy that it is from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

import kit
from commands.export import mean_par
from commands.replay_calls import replay
from kit_world import refused, write_kit_world
from placement.ds_eplb import ds_eplb
from submissions import ROOT, stored_hotness, write_policy
from traces.manifest import entry_of, read_manifest, write_manifest

ONCE, STATIC = (ROOT / "starting_kit" / "policies" / name for name in ("once", "static"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_kit_world(tmp_path_factory.mktemp("world"))


def grid(world: Path) -> list[object]:
    return ["--grid", world / "grid.yaml", "--traces", world / "traces"]


def export(world: Path, policy: Path, output: Path, *options: object) -> int:
    return kit.main([str(word) for word in ("export", policy, *grid(world), "--output", output, *options)])


def scored(world: Path, output: Path, *options: object) -> dict[str, object]:
    """The row of the one case that `run` is given."""
    paths = [*grid(world), "--reference", world / "reference", "--output", output]
    assert kit.main([str(word) for word in ("run", *options, *paths)]) == 0
    (row,) = json.loads((output / "prediction" / "results.json").read_bytes())["cases"]
    return {key: row[key] for key in ("status", "mean_par", "transmit_amount")}


def test_a_placement_scores_what_the_policy_scores_that_it_is_from(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = ("--case", "Small/one:4")
    assert export(world, ONCE, tmp_path / "map.json", *case, "--to", "sglang", "--layers", "1,3") == 0
    assert (
        capsys.readouterr().out.splitlines()[0] == "Small/one ep 4, after call 3 (iteration 14): deployment [2, 4, 2]"
    )
    of_file = scored(world, tmp_path / "out", "--placement", tmp_path / "map.json", *case, "--layers", "1,3")
    assert (
        "note: map.json has 4 rows; the rows of layers 0, 2 belong to no layer of the case and are left out\n"
        "note: the layers are applied at the first call, in order, and kept; ignore advice on the order of layers\n"
    ) in capsys.readouterr().out
    assert of_file == scored(world, tmp_path / "out", ONCE, *case) and of_file["status"] == "ok"


def test_the_layers_are_those_of_the_manifest(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Small").mkdir()
    np.save(tmp_path / "Small" / "one.npy", stored_hotness("Small"))
    entry = entry_of("Small/one.npy", stored_hotness("Small"), "recorded: a test", "CC0-1.0")
    write_manifest(tmp_path, {"traces": {"Small/one": entry | {"layers": [3, 4]}}})
    words = ["export", ONCE, "--grid", world / "grid.yaml", "--traces", tmp_path, "--to", "trtllm"]
    words += ["--output", tmp_path / "map.yaml"]
    assert kit.main([str(word) for word in words]) == 0
    assert list(yaml.safe_load((tmp_path / "map.yaml").read_bytes())["initial_global_assignments"]) == [3, 4]
    write_manifest(tmp_path, {"traces": {"Small/one": entry | {"layers": [3]}}})
    capsys.readouterr()
    assert f"Small/one ep 4: `layers` of {tmp_path / 'manifest.yaml'} does not fit. Got: 1 numbers." in refused(
        capsys, *words
    )
    assert read_manifest(tmp_path)["traces"]["Small/one"]["layers"] == [3]


def test_the_deployment_is_the_one_after_the_call_that_is_named(world: Path, tmp_path: Path) -> None:
    policy = write_policy(
        tmp_path / "policy",
        """
        class Policy:
            def __init__(self, case):
                self.calls = 0

            def rebalance(self, hotness, deployment, iteration):
                self.calls += 1
                if self.calls == 2:
                    return None
                table = deployment.copy()
                table[1] = table[1, ::-1]
                table[0] = 9
                return [1], table
        """,
    )
    first = replay(policy, "Small/one:4", 1, *grid(world)[1::2]).deployment
    turned = first.copy()
    turned[1] = first[1, ::-1]
    for options, table in ((["--after", 1], turned), (["--after", 2], turned), (["--last"], first), ([], first)):
        assert export(world, policy, tmp_path / "a.npy", "--to", "npy", *options) == 0
        assert np.array_equal(np.load(tmp_path / "a.npy"), table)


def test_what_never_moved_is_said(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(world, STATIC, tmp_path / "a.npy", "--to", "npy") == 0
    assert "note: no layer was redeployed up to this call: this is the initial deployment" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--to", "sglang", "--output", "a.txt"], "Next: name the file a.json."),
        (["--to", "sglang", "--output", "a.json"], "sglang needs the model's layer numbers. Got: none in"),
        (["--to", "vllm", "--output", "a.json", "--layers", "3"], "--layers does not fit. Got: 1 numbers."),
        (["--to", "vllm", "--output", "a.json", "--layers", "4-3"], "'4-3' is not in ascending order"),
        (["--to", "vllm", "--output", "a.json", "--layers", "x"], "'x' is not a list of layers such as 3-60 or 1,3,5"),
        (["--to", "npy", "--output", "a.npy", "--after", 9], "Got: --after 9. Expected: 1 .. 3."),
    ],
)
def test_what_cannot_be_exported_is_refused_before_anything_is_written(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list, text: str, monkeypatch: object
) -> None:
    monkeypatch.chdir(tmp_path)
    assert text in refused(capsys, "export", ONCE, *grid(world), *options)
    assert list(tmp_path.iterdir()) == []


def test_cases_that_a_placement_does_not_fit_are_named(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = stored_hotness("Large")[:3].sum(axis=0)
    np.save(tmp_path / "a.npy", ds_eplb(weights, 8, 8))
    run = ("run", *grid(world), "--reference", world / "reference", "--placement", tmp_path / "a.npy")
    assert refused(capsys, *run) == (
        "kit.py: error: the placement fits 1 of the grid's 2 cases, but not Small/one ep 4. Got: 16 slots a layer on 8 "
        "devices; Small/one ep 4 takes 8 slots on 4 devices. Expected: a case of 3 layers, 8 experts and 8 redundant "
        "ones on 8 devices. Next: give --case Large/two:8."
    )
    assert refused(capsys, *run, "--case", "Small/one:4").endswith("Next: give --case Large/two:8.")
    assert scored(world, tmp_path / "out", "--placement", tmp_path / "a.npy", "--case", "Large/two:8")["status"] == "ok"
    np.save(tmp_path / "a.npy", np.arange(6).reshape(1, 2, 3))
    capsys.readouterr()
    assert "the placement fits no case of the grid. Got: a.npy: 1 layer, 6 experts and 0 redundant" in refused(
        capsys, *run
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ([ONCE, "--placement", "a.npy"], "a policy and --placement are named."),
        (["--layers", "3-4"], "--layers needs --placement. Got: no --placement."),
        (["--placement", "a.npy"], "the placement file is missing. Got: a.npy."),
    ],
)
def test_options_of_a_placement_that_make_no_sense_are_refused(
    world: Path, capsys: pytest.CaptureFixture[str], options: list, text: str
) -> None:
    assert text in refused(capsys, "run", *grid(world), "--reference", world / "reference", *options)


def test_the_par_of_a_window_is_the_mean_over_layers_and_iterations() -> None:
    # Loads 3 and 1, then 2 and 2, in layer 0; 4 and 0 twice in layer 1: PAR 1.5, 1, 2, 2.
    hotness = np.array([[[3, 1], [4, 0]], [[2, 2], [4, 0]]], np.int32)
    assert mean_par(np.array([[[0], [1]]] * 2), hotness) == 1.625


def test_a_map_of_72_devices_with_32_redundant_experts_comes_back(tmp_path: Path) -> None:
    # As DS-R1 is served, with two of its layers: 256 experts, 4 slots on each of 72 devices.
    from deployments.fitting import table_for
    from deployments.forms import read_placement, write_placement
    from placement.grid import Case

    hotness = np.random.default_rng(1).integers(1, 99, (3, 2, 256), np.int32)
    table = ds_eplb(hotness.sum(axis=0), 72, 32)
    write_placement(tmp_path / "map.json", "sglang", table, 256, (3, 4))
    case = Case("DS-R1", "d", 72, 32, 2, 256, window=3, latency=0)
    back = table_for(read_placement(tmp_path / "map.json"), case, (3, 4))
    assert table.shape == (2, 72, 4) and mean_par(back, hotness) == mean_par(table, hotness)
