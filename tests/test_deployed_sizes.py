"""Sizes of real deployments: against the slow oracle, and from the grid to the page as a participant goes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

import kit
from benchmarking.plain_replay import plain_replay
from cases import grid_mapping
from placement.grid import grid_from_mapping
from plain_ds_eplb import plain_ds_eplb
from submissions import ROOT

# (experts, redundant experts, devices), and groups and nodes as far as DeepSeek's hierarchical mode fits the size.
SIZES = {
    (256, 32, 72): (8, 4),
    (256, 0, 64): (8, 8),
    (256, 64, 320): (8, 8),
    (8, 8, 16): (4, 2),
    (384, 96, 96): (8, 8),
    (160, 0, 40): (8, 4),
    (512, 512, 1024): (16, 16),
}
LAYERS, WINDOW, ITERATIONS = 2, 4, 13


def hotness(experts: int) -> np.ndarray:
    """int32 [iteration, layer, expert]: uneven, with zeros, and with many ties in its second half."""
    rng = np.random.default_rng(experts)
    values = rng.poisson(rng.lognormal(1, 1.2, (LAYERS, experts)), (ITERATIONS, LAYERS, experts)).astype(np.int32)
    values[ITERATIONS // 2 :] //= 4
    return values


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a grid of all the sizes in both modes, and their traces."""
    folder = tmp_path_factory.mktemp("sizes")
    models, cases = {}, []
    for (experts, redundant, devices), (groups, nodes) in SIZES.items():
        for model, mode in (("Global", (1, 1)), ("Grouped", (groups, nodes))):
            name = f"{model}{experts}x{devices}"
            models[name] = {"layers": LAYERS, "experts": experts, "groups": mode[0], "nodes": mode[1]}
            cases.append({"model": name, "dataset": "d", "ep": [devices], "redundant_experts": redundant})
            (folder / "traces" / name).mkdir(parents=True)
            np.save(folder / "traces" / name / "d.npy", hotness(experts))
    content = grid_mapping(window=WINDOW, models=models, cases=cases)
    (folder / "grid.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    assert kit.main(["reference", *paths(folder), "--output", str(folder / "reference")]) == 0
    return folder


def paths(folder: Path) -> list[str]:
    return ["--grid", str(folder / "grid.yaml"), "--traces", str(folder / "traces")]


def test_the_reference_is_what_the_slow_oracle_measures_in_both_modes(world: Path) -> None:
    grid = grid_from_mapping(yaml.safe_load((world / "grid.yaml").read_text(encoding="utf-8")))
    rows = json.loads((world / "reference" / "ds_eplb.json").read_text(encoding="utf-8"))["cases"]
    for case, row in zip(grid.cases, rows, strict=True):

        def ds_eplb(window, deployment, iteration, case=case):
            weights = window.sum(axis=0, dtype=np.int64)
            return [*range(LAYERS)], plain_ds_eplb(
                weights, case.devices, case.redundant_experts, case.groups, case.nodes
            )

        sizes = (case.devices, case.window, case.latency)
        plain = plain_replay(hotness(case.experts), *sizes, ds_eplb, case.redundant_experts)
        assert (row["mean_par"], row["transmit_amount"]) == (plain.mean_par, plain.transmit_amount), case.name
        assert (row["redundant_experts"], row["groups"], row["nodes"]) == (
            case.redundant_experts,
            case.groups,
            case.nodes,
        )


def test_the_baselines_own_policy_scores_100_and_its_page_names_every_case(
    world: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = world / "output"
    arguments = ["--reference", str(world / "reference"), "--output", str(output)]
    assert kit.main(["run", str(ROOT / "starting_kit/policies/ds_eplb"), *paths(world), *arguments]) == 0
    assert "composite_score: 100.0000" in capfd.readouterr().out
    page = (output / "scoring" / "detailed_results.html").read_text(encoding="utf-8")
    for name in ("Global256x72/d ep 72 +32", "Grouped160x40/d ep 40 +0", "Global384x96/d ep 96<", "+512"):
        assert name in page


def test_some_cases_keep_their_names_where_the_reference_has_another_order(
    world: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = yaml.safe_load((world / "grid.yaml").read_text(encoding="utf-8"))
    content["cases"].reverse()
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    places = ["--grid", tmp_path / "grid.yaml", "--traces", world / "traces", "--reference", world / "reference"]
    names = ["--case", "Global8x16/d:16+8", "--case", "Global256x72/d"]
    policy = ROOT / "starting_kit/policies/static"
    assert kit.main(["run", str(policy), *map(str, [*places, "--output", tmp_path / "output"]), *names]) == 0
    printed = capfd.readouterr().out
    measured = dict(re.findall(r"\] (\S+ ep \d+ \+\d+): ok, mean_par ([\d.]+)", printed))
    # The table of the seconds follows.
    scores = printed.partition("above balance")[0]
    tabled = dict(re.findall(r"^(\S+ ep \d+ \+\d+) +([\d.]+)", scores, re.MULTILINE))
    assert measured == tabled and len(tabled) == 2


def test_without_redundancy_and_with_a_slot_for_each_expert_there_is_nothing_to_move(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "traces" / "M").mkdir(parents=True)
    np.save(tmp_path / "traces" / "M" / "d.npy", hotness(8))
    case = {"model": "M", "dataset": "d", "ep": [8], "redundant_experts": 0}
    content = grid_mapping(window=WINDOW, models={"M": {"layers": LAYERS, "experts": 8}}, cases=[case])
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    assert kit.main(["reference", *paths(tmp_path), "--output", str(tmp_path / "reference")]) == 2
    assert "M/d ep 8 +0: DS-EPLB moves nothing, so transmit_vs_ds_eplb would be undefined." in capsys.readouterr().out
    assert not (tmp_path / "reference").exists()
