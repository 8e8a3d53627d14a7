"""The stored DS-EPLB results: built from a grid and its traces, and reproducible from what ships."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

import reference
from cases import EXAMPLE_HOTNESS, grid_mapping, make_case, steady_trace
from placement.errors import OrganizerError
from placement.grid import grid_from_mapping
from placement.replay import replay
from placement.results import MEASURES, identity, measures, series, versions
from placement.trace import open_trace, trace_sha256
from plain_ds_eplb import plain_ds_eplb
from plain_replay import plain_replay

ROOT = Path(__file__).resolve().parents[1]
HOTNESS = np.random.default_rng(8).integers(0, 30, (23, 2, 4)).astype(np.int32)
ENTRY = {"shape": [23, 2, 4], "sha256": trace_sha256(HOTNESS), "origin": "drawn", "licence": "none"}
IDENTITY = ("model", "dataset", "ep", "trace_sha256", "window", "latency", "cost")


@pytest.fixture
def traces(tmp_path):
    """A folder with the trace M/d."""
    folder = tmp_path / "traces"
    (folder / "M").mkdir(parents=True)
    np.save(folder / "M" / "d.npy", HOTNESS)
    return folder


def plain(devices, latency=0, planned=True):
    """The slow oracle's replay of HOTNESS: DS-EPLB after every window of 3, or nothing."""

    def rebalance(window, deployment, iteration):
        weights = window.sum(axis=0, dtype=np.int64)
        return ([0, 1], plain_ds_eplb(weights, devices, devices)) if planned else None

    return plain_replay(HOTNESS, devices, 3, latency, rebalance)


@pytest.mark.parametrize("latency", [0, 2])
def test_a_reference_holds_what_the_slow_oracle_measures(traces, latency):
    grid = grid_from_mapping(grid_mapping(latency=latency))
    built, curves = reference.build(grid, traces, None)
    assert [row["ep"] for row in built["cases"]] == [2, 4]
    assert list(curves) == [
        f"M/d/{ep}/{kind}"
        for ep in (2, 4)
        for kind in ("ds_eplb/par", "ds_eplb/transmit", "ds_eplb/layer_par", "static/par")
    ]
    for row in built["cases"]:
        baseline, static = plain(row["ep"], latency), plain(row["ep"], latency, planned=False)
        assert (row["mean_par"], row["transmit_amount"]) == (baseline.mean_par, baseline.transmit_amount)
        assert (row["calls"], row["redeployed_layers"]) == (len(baseline.calls), baseline.redeployed_layers)
        assert row["static_mean_par"] == static.mean_par != row["mean_par"]
        key = f"M/d/{row['ep']}"
        np.testing.assert_allclose(curves[f"{key}/ds_eplb/par"], np.mean(baseline.par, axis=1), rtol=1e-12)
        np.testing.assert_allclose(curves[f"{key}/ds_eplb/layer_par"], np.mean(baseline.par, axis=0), rtol=1e-12)
        np.testing.assert_allclose(curves[f"{key}/static/par"], np.mean(static.par, axis=1), rtol=1e-12)
        assert curves[f"{key}/ds_eplb/transmit"].tolist() == baseline.transmit_per_iteration


def test_rows_carry_what_the_scorer_compares_and_the_head_says_where_they_come_from(traces):
    grid = grid_from_mapping(grid_mapping())
    built, _ = reference.build(grid, traces, {"traces": {"M/d": ENTRY}})
    for case, row in zip(grid.cases, built["cases"], strict=True):
        assert tuple(row) == (*IDENTITY, *MEASURES, "static_mean_par", "simulator_version")
        assert {key: row[key] for key in IDENTITY} == identity(case, grid.cost, ENTRY["sha256"])
    assert built["grid"] == "tiny" and built["versions"] == versions()
    assert "tools/reference.py" in built["written_by"]
    assert built["traces"] == {"M/d": {"origin": "drawn", "licence": "none"}}


def test_without_a_manifest_origin_and_licence_are_not_stated(traces):
    built, _ = reference.build(grid_from_mapping(grid_mapping()), traces, None)
    assert built["traces"] == {"M/d": {"origin": "not stated", "licence": "not stated"}}


def test_ds_eplb_is_the_policy_that_the_worked_example_gets():
    # DS-EPLB plans [1 0 3][0 0 2] for sums 12 6 3 3: all six slots change in each layer, once.
    trace, case = steady_trace(hotness=EXAMPLE_HOTNESS), make_case()
    result = replay(trace, case, reference.ds_eplb_policy(trace, case))
    assert result.calls == [4, 10]
    assert result.rows_at(1, 12).tolist() == [[1, 0, 3], [0, 0, 2]]
    assert result.transmit().tolist() == [0, 0, 0, 0, 6, 6, 0, 0, 0, 0, 0, 0]


def test_a_baseline_that_moves_nothing_is_refused(traces):
    # DS-EPLB replicates expert 1 and packs shares 3, 2, 2: the rows 0 1 1 of the initial deployment.
    np.save(traces / "M" / "still.npy", np.full((9, 1, 2), (3, 4), np.int32))
    mapping = grid_mapping(
        models={"M": {"layers": 1, "experts": 2}}, cases=[{"model": "M", "dataset": "still", "ep": [1]}]
    )
    with pytest.raises(OrganizerError) as caught:
        reference.build(grid_from_mapping(mapping), traces, None)
    assert str(caught.value) == (
        "M/still ep 1: DS-EPLB moves nothing, so transmit_vs_ds_eplb would be undefined. Got: transmit_amount 0. "
        "Expected: a trace on which DS-EPLB changes a slot. Next: use a longer trace or one with uneven hotness."
    )


def test_a_trace_that_does_not_fit_is_refused(traces):
    with pytest.raises(OrganizerError, match=r"^trace M/d: the trace is too short for the window"):
        reference.build(grid_from_mapping(grid_mapping(window=22)), traces, None)
    manifest = {"traces": {"M/d": ENTRY | {"sha256": "0" * 64}}}
    with pytest.raises(OrganizerError, match=r"^trace M/d: the trace's sha256 is not the manifest's"):
        reference.build(grid_from_mapping(grid_mapping()), traces, manifest)


# The command


def run(tmp_path, traces, **changes):
    grid = tmp_path / "grid.yaml"
    grid.write_text(yaml.safe_dump(grid_mapping(**changes)), encoding="utf-8")
    return reference.main(["--grid", str(grid), "--traces", str(traces), "--output", str(tmp_path / "out")])


def test_the_command_writes_the_same_files_each_time(tmp_path, traces, capsys):
    assert run(tmp_path, traces) == 0
    assert "note: no manifest.yaml in " in (printed := capsys.readouterr().out) and "wrote 2 cases to " in printed
    written = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert sorted(written) == ["ds_eplb.json", "series.npz"]
    built, curves = reference.build(grid_from_mapping(grid_mapping()), traces, None)
    assert json.loads(written["ds_eplb.json"]) == built
    with np.load(tmp_path / "out" / "series.npz", allow_pickle=False) as archive:
        assert all(np.array_equal(archive[name], curve) for name, curve in curves.items())
        assert archive.files == list(curves)
    assert run(tmp_path, traces) == 0
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}


def test_the_command_says_what_is_wrong_and_writes_nothing(tmp_path, traces, capsys):
    assert run(tmp_path, traces, window=0) == 2
    assert capsys.readouterr().out.startswith("grid: window is not valid. Got: 0. ")
    assert run(tmp_path, tmp_path / "nowhere") == 2
    assert capsys.readouterr().out.startswith("trace M/d: the trace is missing. ")
    assert not (tmp_path / "out").exists()


# What ships


def test_the_shipped_reference_has_the_sample_grids_cases_on_the_sample_traces():
    grid = grid_from_mapping(yaml.safe_load((ROOT / "ingestion_program" / "grid.yaml").read_text(encoding="utf-8")))
    shipped = json.loads((ROOT / "reference_data" / "ds_eplb.json").read_text(encoding="utf-8"))
    manifest = yaml.safe_load((ROOT / "sample_traces" / "manifest.yaml").read_text(encoding="utf-8"))["traces"]
    assert [{key: row[key] for key in IDENTITY} for row in shipped["cases"]] == [
        identity(case, grid.cost, manifest[f"{case.model}/{case.dataset}"]["sha256"]) for case in grid.cases
    ]
    assert shipped["traces"] == {
        name: {key: entry[key] for key in ("origin", "licence")} for name, entry in manifest.items()
    }


def test_a_shipped_case_is_what_its_shipped_trace_yields():
    grid = grid_from_mapping(yaml.safe_load((ROOT / "ingestion_program" / "grid.yaml").read_text(encoding="utf-8")))
    shipped = json.loads((ROOT / "reference_data" / "ds_eplb.json").read_text(encoding="utf-8"))
    manifest = yaml.safe_load((ROOT / "sample_traces" / "manifest.yaml").read_text(encoding="utf-8"))
    case = grid.cases[-1]
    (row,) = [row for row in shipped["cases"] if (row["model"], row["ep"]) == (case.model, case.ep)]
    trace = open_trace(ROOT / "sample_traces", case.model, case.dataset, manifest)
    assert row["trace_sha256"] == trace.sha256 == manifest["traces"][f"{case.model}/{case.dataset}"]["sha256"]
    result = replay(trace, case, reference.ds_eplb_policy(trace, case))
    assert {key: row[key] for key in MEASURES} == measures(result)
    with np.load(ROOT / "reference_data" / "series.npz", allow_pickle=False) as archive:
        for name, curve in series(result).items():
            stored = archive[f"{case.model}/{case.dataset}/{case.ep}/ds_eplb/{name}"]
            np.testing.assert_allclose(stored, curve, rtol=1e-12)
