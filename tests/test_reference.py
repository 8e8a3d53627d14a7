"""The stored DS-EPLB results: built from a grid and its traces, and reproducible from what ships."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import kit
from benchmarking.plain_replay import plain_replay
from cases import EXAMPLE_HOTNESS, grid_mapping, make_case, steady_trace
from placement.errors import OrganizerError
from placement.evaluation.result_files import write_series
from placement.evaluation.versions import versions
from placement.explain import heat_map
from placement.grid import grid_from_mapping
from placement.replay import replay
from placement.results import MEASURES, identity, mean_par, measures, series
from placement.trace import trace_sha256
from placement.traces.files import TraceFolder, open_trace
from plain_clairvoyant import plain_clairvoyant
from plain_ds_eplb import plain_ds_eplb
from traces import reference, reference_parts

ROOT = Path(__file__).resolve().parents[1]
HOTNESS = np.random.default_rng(8).integers(0, 30, (23, 2, 4)).astype(np.int32)
ENTRY = {"shape": [23, 2, 4], "sha256": trace_sha256(HOTNESS), "origin": "drawn", "licence": "none"}
IDENTITY = (
    "model",
    "dataset",
    "ep",
    "redundant_experts",
    "groups",
    "nodes",
    "trace_sha256",
    "window",
    "latency",
    "cost",
)
YARDSTICKS = ("static_mean_par", "clairvoyant_mean_par", "clairvoyant_later_par")
CURVES = tuple(f"ds_eplb/{kind}" for kind in ("par", "transmit", "layer_par", "heat_map"))
CURVES += ("static/par", "clairvoyant/par")


@pytest.fixture
def traces(tmp_path):
    """A folder with the trace M/d."""
    folder = tmp_path / "traces"
    (folder / "M").mkdir(parents=True)
    np.save(folder / "M" / "d.npy", HOTNESS)
    return folder


def plain(case, planned=True):
    """The slow oracle's replay of HOTNESS: DS-EPLB after every window, or nothing."""

    def rebalance(window, deployment, iteration):
        weights = window.sum(axis=0, dtype=np.int64)
        table = plain_ds_eplb(weights, case.devices, case.redundant_experts, case.groups, case.nodes)
        return ([0, 1], table) if planned else None

    return plain_replay(HOTNESS, case.devices, case.window, case.latency, rebalance, case.redundant_experts)


UNEVEN = [{"model": "M", "dataset": "d", "ep": [3], "redundant_experts": [2, 5]}]
GROUPED = {
    "models": {"M": {"layers": 2, "experts": 4, "groups": 2, "nodes": 2}},
    "cases": [{"model": "M", "dataset": "d", "ep": [4]}],
}


@pytest.mark.parametrize("changes", [{}, {"latency": 2}, {"cases": UNEVEN}, GROUPED])
def test_a_reference_holds_what_the_slow_oracle_measures(traces, changes):
    grid = grid_from_mapping(grid_mapping(**changes))
    built, curves = reference.build(grid, TraceFolder(traces))
    assert list(curves) == [f"{case.key}/{kind}" for case in grid.cases for kind in CURVES]
    for case, row in zip(grid.cases, built["cases"], strict=True):
        baseline, static = plain(case), plain(case, planned=False)
        assert (row["mean_par"], row["transmit_amount"]) == (baseline.mean_par, baseline.transmit_amount)
        assert (row["calls"], row["redeployed_layers"]) == (len(baseline.calls), baseline.redeployed_layers)
        sizes = case.redundant_experts, case.groups, case.nodes
        clairvoyant = np.array(plain_clairvoyant(HOTNESS, case.devices, case.window, case.latency, *sizes))
        assert row["static_mean_par"] == static.mean_par != row["mean_par"]
        assert row["clairvoyant_mean_par"] == mean_par(clairvoyant) != row["mean_par"]
        key = case.key
        np.testing.assert_allclose(curves[f"{key}/ds_eplb/par"], np.mean(baseline.par, axis=1), rtol=1e-12)
        np.testing.assert_allclose(curves[f"{key}/ds_eplb/layer_par"], np.mean(baseline.par, axis=0), rtol=1e-12)
        np.testing.assert_allclose(curves[f"{key}/static/par"], np.mean(static.par, axis=1), rtol=1e-12)
        np.testing.assert_allclose(curves[f"{key}/clairvoyant/par"], clairvoyant.mean(axis=1), rtol=1e-12)
        heat = curves[f"{key}/ds_eplb/heat_map"]
        assert heat.dtype == np.float32 and np.array_equal(heat, heat_map(np.array(baseline.par)).astype(np.float32))
        assert curves[f"{key}/ds_eplb/transmit"].tolist() == baseline.transmit_per_iteration


def test_rows_carry_what_the_scorer_compares_and_the_head_says_where_they_come_from(traces):
    grid = grid_from_mapping(grid_mapping())
    built, _ = reference.build(grid, TraceFolder(traces, {"traces": {"M/d": ENTRY}}))
    for case, row in zip(grid.cases, built["cases"], strict=True):
        assert tuple(row) == (*IDENTITY, *MEASURES, *YARDSTICKS, "simulator_version")
        assert {key: row[key] for key in IDENTITY} == identity(case, grid.cost, ENTRY["sha256"])
    assert built["grid"] == "tiny" and built["versions"] == versions()
    assert "kit.py reference" in built["written_by"]
    assert built["traces"] == {"M/d": {"origin": "drawn", "licence": "none"}}


def test_without_a_manifest_origin_and_licence_are_not_stated(traces):
    built, _ = reference.build(grid_from_mapping(grid_mapping()), TraceFolder(traces))
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
        reference.build(grid_from_mapping(mapping), TraceFolder(traces))
    assert str(caught.value) == (
        "M/still ep 1: DS-EPLB moves nothing, so transmit_vs_ds_eplb would be undefined. Got: transmit_amount 0. "
        "Expected: a trace on which DS-EPLB changes a slot. Next: use a longer trace or one with uneven hotness."
    )


def test_a_trace_that_does_not_fit_is_refused(traces):
    with pytest.raises(OrganizerError, match=r"^trace M/d: the trace is too short for the window"):
        reference.build(grid_from_mapping(grid_mapping(window=22)), TraceFolder(traces))
    manifest = {"traces": {"M/d": ENTRY | {"sha256": "0" * 64}}}
    with pytest.raises(OrganizerError, match=r"^trace M/d: the trace's sha256 is not the manifest's"):
        reference.build(grid_from_mapping(grid_mapping()), TraceFolder(traces, manifest))


def test_cases_stand_in_the_grids_order_where_those_of_a_trace_are_apart(traces):
    np.save(traces / "M" / "e.npy", HOTNESS[::-1])
    apart = [{"model": "M", "dataset": dataset, "ep": [ep]} for dataset, ep in (("d", 4), ("e", 2), ("d", 2))]
    built, curves = reference.build(grid_from_mapping(grid_mapping(cases=apart)), TraceFolder(traces))
    rows = {(row["dataset"], row["ep"]): row for row in built["cases"]}
    assert list(rows) == [("d", 4), ("e", 2), ("d", 2)]
    assert list(built["traces"]) == ["M/d", "M/e"] and len(curves) == 3 * len(CURVES)
    together, _ = reference.build(grid_from_mapping(grid_mapping()), TraceFolder(traces))
    assert together["cases"] == [rows["d", 2], rows["d", 4]]


# The command


def command(tmp_path, traces, *options, **changes):
    """The command's arguments; changes: keys of the grid's."""
    grid = tmp_path / "grid.yaml"
    grid.write_text(yaml.safe_dump(grid_mapping(**changes)), encoding="utf-8")
    return ["--grid", str(grid), "--traces", str(traces), "--output", str(tmp_path / "out"), *options]


def run(tmp_path, traces, *options, **changes):
    return kit.main(["reference", *command(tmp_path, traces, *options, **changes)])


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_command_writes_the_same_files_each_time(tmp_path, traces, capsys):
    assert run(tmp_path, traces) == 0
    assert "note: no manifest.yaml in " in (printed := capsys.readouterr().out) and "wrote 2 cases to " in printed
    written = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert sorted(written) == ["ds_eplb.json", "series.npz"]
    built, curves = reference.build(grid_from_mapping(grid_mapping()), TraceFolder(traces))
    assert json.loads(written["ds_eplb.json"]) == built
    with np.load(tmp_path / "out" / "series.npz", allow_pickle=False) as archive:
        assert all(np.array_equal(archive[name], curve) for name, curve in curves.items())
        assert archive.files == list(curves)
    assert run(tmp_path, traces) == 0
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}


def test_a_reference_of_another_grid_is_replaced_with_a_note(tmp_path, traces, capsys):
    note = (
        f"note: {tmp_path / 'out'} holds the reference of grid {{}} with {{}} cases; the new reference replaces the "
        "old one. Next: "
        "to keep both, name another --output."
    )
    assert run(tmp_path, traces) == run(tmp_path, traces) == 0
    assert "the new reference replaces" not in capsys.readouterr().out
    assert run(tmp_path, traces, cases=UNEVEN) == 0
    assert note.format("tiny", 2) in capsys.readouterr().out.splitlines()
    assert run(tmp_path, traces, cases=UNEVEN, name="other") == 0
    assert note.format("tiny", 2) in capsys.readouterr().out.splitlines()
    # What no reader knows is no reference.
    (tmp_path / "out" / "ds_eplb.json").write_text("[]")
    assert run(tmp_path, traces) == 0 and "the new reference replaces" not in capsys.readouterr().out


def test_the_command_says_what_is_wrong_and_writes_nothing(tmp_path, traces, capsys):
    assert run(tmp_path, traces, window=0) == 2
    assert capsys.readouterr().out.startswith("grid: window is not valid. Got: 0. ")
    with pytest.raises(SystemExit, match="2"):
        run(tmp_path, tmp_path / "nowhere")
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"kit.py: error: trace M/d: the trace is missing. Got: no file {tmp_path / 'nowhere/M/d'}.npy, .npz or "
        ".sealed. Expected: one of the three. Next: name the folder of the grid's traces with --traces."
    )
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_named_with_the_next_step(tmp_path, traces, capsys):
    # As a full disk is found: not before something is written.
    (tmp_path / "out" / "ds_eplb.json" / "in_the_way").mkdir(parents=True)
    assert run(tmp_path, traces) == 2
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "cannot be written" in line]
    assert line.startswith(f"reference: {tmp_path / 'out'}")
    assert all(word in line for word in ("Got: ", "Expected: a folder with room", "Next: free space, or name another"))


def test_no_jobs_at_all_are_refused(tmp_path, traces, capsys):
    with pytest.raises(SystemExit):
        run(tmp_path, traces, "--jobs", "0")
    assert "--jobs is too small. Got: 0." in capsys.readouterr().err


# Several traces at a time, and what is kept of them


TWO = [{"model": "M", "dataset": dataset, "ep": [2, 4]} for dataset in ("d", "e")]
PART = Path("out") / "reference_parts" / "M" / "d.npz"
AGAIN = "[1/2] M/d: 2 cases measured again, because the part that was kept "


@pytest.fixture
def two(traces):
    """A folder with the traces M/d and M/e."""
    np.save(traces / "M" / "e.npy", HOTNESS[::-1])
    return traces


def progress(capsys):
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")]


def stopped_after_the_first(tmp_path, traces, **changes):
    """A run that ended with a part of M/d, because M/e could not be read."""
    missing = traces / "M" / "e.npy"
    stored = missing.read_bytes()
    missing.write_bytes(b"")
    assert run(tmp_path, traces, "--jobs", "1", **{"cases": TWO} | changes) == 2
    missing.write_bytes(stored)
    assert sorted(files(tmp_path / "out")) == ["reference_parts/M/d.npz"]


def expected(traces, **changes):
    """What a run that nothing interrupted builds."""
    return reference.build(grid_from_mapping(grid_mapping(**{"cases": TWO} | changes)), TraceFolder(traces))


def written(tmp_path):
    """What the command wrote, of which no part may be left."""
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["ds_eplb.json", "series.npz"]
    with np.load(tmp_path / "out" / "series.npz", allow_pickle=False) as archive:
        curves = {name: archive[name] for name in archive.files}
    return json.loads((tmp_path / "out" / "ds_eplb.json").read_text(encoding="utf-8")), curves


def assert_same(found, wanted):
    assert found[0] == wanted[0] and list(found[1]) == list(wanted[1])
    for name, curve in wanted[1].items():
        assert found[1][name].dtype == curve.dtype
        np.testing.assert_array_equal(found[1][name], curve)


def test_the_files_are_the_same_for_any_number_of_jobs(tmp_path, two, capsys):
    outputs = []
    for jobs in ("1", "2", "5"):
        assert run(tmp_path, two, "--jobs", jobs, cases=TWO) == 0
        assert sorted(line.split("] ")[1] for line in progress(capsys)) == [
            f"M/{name}: 2 cases measured" for name in "de"
        ]
        outputs.append(files(tmp_path / "out"))
    assert outputs[0] == outputs[1] == outputs[2]
    assert_same(written(tmp_path), expected(two))


def test_a_failed_run_keeps_what_is_finished_and_says_how_to_go_on(tmp_path, two, capsys):
    stopped_after_the_first(tmp_path, two)
    *_, error, kept = capsys.readouterr().out.splitlines()
    assert error.startswith("trace M/e: the trace cannot be read. Got: ")
    folder = tmp_path / "out" / "reference_parts"
    assert kept == f"the finished traces are kept in {folder}; repeat the same command to continue"
    assert run(tmp_path, two, cases=TWO) == 0
    assert {line.split("] ")[1] for line in progress(capsys)} == {
        "M/d: 2 cases kept from an earlier run",
        "M/e: 2 cases measured",
    }
    assert_same(written(tmp_path), expected(two))


def test_what_was_kept_is_not_measured_again(tmp_path, two):
    stopped_after_the_first(tmp_path, two)
    with np.load(tmp_path / PART, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    head = json.loads(arrays["part"].tobytes())
    head["rows"][1]["calls"] = 4711
    arrays["part"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
    arrays["M/d/4/static/par"] = np.arange(3.0)
    write_series(tmp_path / PART, arrays)
    assert run(tmp_path, two, cases=TWO) == 0
    built, curves = written(tmp_path)
    assert [row["calls"] == 4711 for row in built["cases"]] == [False, True, False, False]
    assert curves["M/d/4/static/par"].tolist() == [0, 1, 2]


COST = grid_mapping()["cost"]
FEWER = [{"model": "M", "dataset": "d", "ep": [4]}, TWO[1]]


@pytest.mark.parametrize(
    ("changes", "other"),
    [
        ({"window": 4}, "window"),
        ({"latency": 1}, "latency"),
        ({"cost": COST | {"expert_bytes": 1}}, "cost"),
        ({"cases": FEWER}, "list of cases"),
        ({"models": {"M": {"layers": 2, "experts": 4, "groups": 2}}}, "list of cases"),
        ({"window": 4, "latency": 1}, "window, latency"),
    ],
)
def test_a_part_of_another_grid_is_measured_again(tmp_path, two, capsys, changes, other):
    stopped_after_the_first(tmp_path, two, **changes)
    capsys.readouterr()
    assert run(tmp_path, two, "--jobs", "1", cases=TWO) == 0
    assert progress(capsys)[0] == f"{AGAIN}has another {other}"
    assert_same(written(tmp_path), expected(two))


def test_a_part_of_another_trace_is_measured_again(tmp_path, two, capsys):
    stopped_after_the_first(tmp_path, two)
    np.save(two / "M" / "d.npy", HOTNESS + 1)
    capsys.readouterr()
    assert run(tmp_path, two, "--jobs", "1", cases=TWO) == 0
    assert progress(capsys)[0] == f"{AGAIN}has another trace_sha256"
    assert_same(written(tmp_path), expected(two))


@pytest.mark.parametrize(
    ("name", "value", "other"),
    [
        ("format", 1, "format"),
        ("trace", "M/x", "trace"),
        ("simulator version", "0", "simulator version"),
        ("numpy version", "0", "numpy version"),
        ("simulator sources", "0", "simulator sources"),
        ("traces/reference.py", "0", "traces/reference.py"),
    ],
)
def test_a_part_of_another_program_is_measured_again(tmp_path, two, capsys, name, value, other):
    stopped_after_the_first(tmp_path, two)
    with np.load(tmp_path / PART, allow_pickle=False) as archive:
        head = json.loads(archive["part"].tobytes())
    head["identity"][name] = value
    write_series(tmp_path / PART, {"part": np.frombuffer(json.dumps(head).encode(), np.uint8)})
    capsys.readouterr()
    assert run(tmp_path, two, "--jobs", "1", cases=TWO) == 0
    assert progress(capsys)[0] == f"{AGAIN}has another {other}"
    assert_same(written(tmp_path), expected(two))


def half(data):
    return data[: len(data) // 2]


def one_byte_changed(data):
    place = data.index(b"part.npy") + 60
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("damage", [half, one_byte_changed, lambda data: b"", lambda data: b"no archive"])
def test_a_damaged_part_is_measured_again_with_a_note(tmp_path, two, capsys, damage):
    stopped_after_the_first(tmp_path, two)
    (tmp_path / PART).write_bytes(damage((tmp_path / PART).read_bytes()))
    capsys.readouterr()
    assert run(tmp_path, two, "--jobs", "1", cases=TWO) == 0
    first, second = progress(capsys)
    assert first.startswith(f"{AGAIN}cannot be read (") and second == "[2/2] M/e: 2 cases measured"
    assert_same(written(tmp_path), expected(two))


def test_of_several_errors_the_first_in_the_grids_order_is_told(tmp_path, two, capsys):
    for name in "de":
        (two / "M" / f"{name}.npy").write_bytes(b"")
    for jobs in "12":
        assert run(tmp_path, two, "--jobs", jobs, cases=TWO) == 2
        assert capsys.readouterr().out.splitlines()[-1].startswith("trace M/d: the trace cannot be read. ")


@pytest.mark.skipif(reference_parts.METHOD != "fork", reason="another process does not have what is replaced here")
def test_a_process_that_is_killed_is_told_with_the_next_step(tmp_path, two, capsys, monkeypatch):
    monkeypatch.setattr(reference, "take_turns", lambda *arguments: os.kill(os.getpid(), signal.SIGKILL))
    assert run(tmp_path, two, "--jobs", "2", cases=TWO) == 2
    assert capsys.readouterr().out.splitlines()[-1] == (
        "reference: a process that measured a trace was ended from outside. Got: no result with --jobs 2. "
        "Expected: memory for two copies of a trace in each process. Next: use a smaller --jobs."
    )


@pytest.mark.skipif(reference_parts.METHOD != "fork", reason="another process does not have what is replaced here")
def test_an_interrupt_waits_for_no_process_that_measures(two, monkeypatch):
    def interrupt(futures):
        raise KeyboardInterrupt

    monkeypatch.setattr(reference_parts, "as_completed", interrupt)
    grid = grid_from_mapping(grid_mapping(cases=TWO))
    work = [reference_parts.PartJob(grid, "M/d", list(grid.cases), TraceFolder(two), None)]
    with pytest.raises(KeyboardInterrupt):
        # Ends when it is killed, and not before.
        reference_parts.make_parts(work, lambda job, trace: signal.pause(), 1, print)


def test_a_key_is_not_shown_with_a_job():
    job = reference_parts.PartJob(None, "M/d", [], TraceFolder(Path("traces"), None, b"secret"), None)
    assert "secret" not in repr(job)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a file whose reader waits")
def test_an_interrupted_run_says_in_one_line_what_is_kept_and_goes_on_from_there(tmp_path, two):
    waits = (tmp_path / PART).with_name("e.npz")
    waits.parent.mkdir(parents=True)
    os.mkfifo(waits)
    line = [
        sys.executable,
        str(ROOT / "starting_kit" / "kit.py"),
        "reference",
        *command(tmp_path, two, "--jobs", "1", cases=TWO),
    ]
    process = subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    assert process.stdout.readline().startswith("note: no manifest.yaml")
    assert process.stdout.readline() == "[1/2] M/d: 2 cases measured\n"
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 130
    assert output == (
        f"reference: interrupted; the finished traces are kept in {waits.parent.parent};"
        " repeat the same command to continue\n"
    )
    assert sorted(files(tmp_path / "out")) == ["reference_parts/M/d.npz"]
    waits.unlink()
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "] M/d: 2 cases kept from an earlier run\n" in done.stdout and "] M/e: 2 cases measured\n" in done.stdout
    assert_same(written(tmp_path), expected(two))


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
    assert {key: row[key] for key in MEASURES} == measures(result, trace)
    with np.load(ROOT / "reference_data" / "series.npz", allow_pickle=False) as archive:
        for name, curve in series(result).items():
            stored = archive[f"{case.model}/{case.dataset}/{case.ep}/ds_eplb/{name}"]
            np.testing.assert_allclose(stored, curve, rtol=1e-12)
