"""The benchmark: what its numbers mean, without a word about how large they are."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import benchmark
from benchmarking import (
    clock,
    first_edition,
    growth,
    memory,
    plain,
    published,
    sentences,
    submission,
    table,
    whole_grid,
)
from cases import A0, NONSENSE, B, C, P, grid_mapping, make_case
from placement.errors import OrganizerError
from placement.grid import grid_from_mapping
from placement.replay import replay
from placement.results import mean_par
from placement.trace import Trace
from placement.traces.yaml_file import read_yaml
from traces.reference import ds_eplb_policy


def test_the_median_of_all_calls_counts(monkeypatch):
    ticks = itertools.accumulate([0, 5, 0, 1, 0, 2])
    monkeypatch.setattr(clock.time, "process_time", lambda: next(ticks))
    called = []
    assert clock.median_seconds(lambda: called.append(1), 3) == 2
    assert len(called) == 3


@pytest.mark.parametrize("function", ["plain", "numpy"])
def test_a_slice_is_scaled_to_the_whole_trace(monkeypatch, function):
    monkeypatch.setattr(plain, "median_seconds", lambda loop, times: (loop(), 1.0)[1])
    stored = np.ones((192, 8, 4), np.int32)
    if function == "plain":
        assert plain.plain_seconds(stored, devices=2, redundant=2) == 192 / 6 * 8 / 4
    else:
        assert plain.numpy_loop_seconds(stored, np.array([[0, 1, 1], [2, 3, 3]])) == 192 / 96 * 8 / 4


@pytest.mark.parametrize(("declined", "expected"), [(0, (1.385416666667, 6)), (1, (1.458333333333, 5))])
def test_the_numpy_loop_gives_the_worked_examples_digits(declined, expected):
    hotness = np.tile(np.array([4, 2, 1, 1]), (12, 2, 1))
    answers = [None] * declined + [([1, 0], np.array([B, P])), ([0], np.array([C, NONSENSE]))]
    seen = []

    def policy(window, deployment, iteration):
        seen.append((iteration, len(window), deployment.tolist()))
        return answers.pop(0)

    assert first_edition.first_edition(hotness, make_case(), policy) == expected
    assert seen[0] == (4, 3, [A0, A0])


def test_the_numpy_loop_gives_the_simulators_digits(tmp_path):
    rng = np.random.default_rng(5)
    cases, models = [], {}
    for number, (experts, redundant, devices) in enumerate([(8, 4, 4), (7, 5, 3), (6, 6, 12)]):
        models[f"M{number}"] = {"layers": 2, "experts": experts}
        cases.append({"model": f"M{number}", "dataset": "d", "ep": [devices], "redundant_experts": redundant})
        (tmp_path / f"M{number}").mkdir()
        np.save(tmp_path / f"M{number}" / "d.npy", rng.integers(0, 9, (30, 2, experts), np.int32))
    mapping = grid_mapping(models=models, cases=cases)
    (tmp_path / "grid.yaml").write_text(json.dumps(mapping))
    rows = first_edition.replay_grid(tmp_path / "grid.yaml", tmp_path)["cases"]
    for row, case in zip(rows, grid_from_mapping(mapping).cases, strict=True):
        trace = Trace(np.load(tmp_path / case.model / "d.npy"))
        measured = replay(trace, case, ds_eplb_policy(trace, case))
        stored = {"mean_par": mean_par(measured.par), "transmit_amount": measured.transmit_amount}
        assert row["transmit_amount"] > 0 and whole_grid.is_same(row, stored)
        assert not whole_grid.is_same(row, stored | {"mean_par": stored["mean_par"] + 3e-12})
        assert not whole_grid.is_same(row, stored | {"transmit_amount": measured.transmit_amount + 1})


def test_the_hash_of_a_run_leaves_out_clocks_and_takes_in_what_was_measured(tmp_path):
    def hashed(**changes):
        case = {"mean_par": 1.5, "policy_seconds": 0.1, "slowest_call_seconds": 0.1} | changes
        (tmp_path / "results.json").write_text(json.dumps({"cases": [case], "duration_seconds": len(changes)}))
        return whole_grid.measured_sha256(tmp_path)

    for name in ("series.npz", "explain.json", "decisions.npz"):
        (tmp_path / name).write_bytes(name.encode())
    before = hashed()
    assert hashed(policy_seconds=9, slowest_call_seconds=9) == before
    assert hashed(mean_par=1.6) != before
    (tmp_path / "series.npz").write_bytes(b"other")
    assert hashed() != before


needs_proc = pytest.mark.skipif(not memory.CHILDREN.exists(), reason="sizes and children are read from /proc")


@needs_proc
def test_the_memory_of_children_counts():
    child = "import sys; held = b'x' * 80_000_000; print('held', flush=True); sys.stdin.read()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    command = [sys.executable, "-c", parent]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        assert 80_000_000 < memory.family_bytes(process.pid) < 200_000_000
        process.stdin.close()


def test_the_memory_of_a_process_that_has_ended_is_nothing():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        assert memory.family_bytes(process.pid) == 0


@needs_proc
def test_the_largest_size_counts_that_two_looks_in_a_row_saw(monkeypatch, tmp_path):
    os.mkfifo(tmp_path / "end")
    looks = []

    def look(pid):
        looks.append(pid)
        if len(looks) == 4:
            # Opening it lets the command end.
            (tmp_path / "end").write_text("")
        return {1: 3, 2: 9, 3: 7}.get(len(looks), 4)

    monkeypatch.setattr(memory, "family_bytes", look)
    command = [sys.executable, "-c", f"open({str(tmp_path / 'end')!r}).read()"]
    assert memory.command_peak(command) == 7


@needs_proc
def test_peak_memory_is_unknown_when_a_living_process_cannot_be_read(monkeypatch):
    read_text = Path.read_text

    def refused(path, *arguments, **keywords):
        if path.name == "smaps_rollup":
            raise PermissionError(13, "Permission denied", str(path))
        return read_text(path, *arguments, **keywords)

    monkeypatch.setattr(Path, "read_text", refused)
    assert memory.command_peak([sys.executable, "-c", ""]) is None


def test_peak_memory_is_unknown_where_the_kernel_does_not_tell_of_children(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "CHILDREN", tmp_path / "children")
    assert memory.command_peak([sys.executable, "-c", ""]) is None


@pytest.mark.parametrize("told", [True, False])
def test_a_command_that_fails_has_no_peak(monkeypatch, tmp_path, told):
    monkeypatch.setattr(memory, "CHILDREN", tmp_path if told else tmp_path / "children")
    with pytest.raises(subprocess.CalledProcessError, match="exit status 3"):
        memory.command_peak([sys.executable, "-c", "raise SystemExit(3)"])


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="a thread cannot be kept on a core")
def test_one_core_is_used_inside_and_the_former_ones_afterwards():
    before = os.sched_getaffinity(0)

    @clock.one_core()
    def fails():
        raise KeyError(len(os.sched_getaffinity(0)))

    with pytest.raises(KeyError, match=r"^1$"):
        fails()
    assert os.sched_getaffinity(0) == before


def test_without_affinity_every_core_stays(monkeypatch):
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    with clock.one_core():
        pass


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Runs main with a made-up measurement; gives the exit code, the traces measured and those generated into."""

    def run(*arguments, hashes=("a", "a"), error=None, same=True):
        folders = {"measured": None, "generated": None}

        def measure(grid_path, traces, output, quick):
            folders["measured"] = traces
            if error:
                raise error
            return {"grid": [{"measured_sha256": digest} for digest in hashes], "loop": [{"same": same}]}

        monkeypatch.setattr(benchmark, "measure", measure)
        monkeypatch.setattr(benchmark, "make_traces", lambda grid, folder: folders.update(generated=folder))
        return benchmark.main([*arguments, "--output", str(tmp_path / "output")]), folders

    return run


@pytest.mark.parametrize(
    ("arguments", "hashes", "same", "code", "last"),
    [
        ((), ("a", "a"), True, 0, ["Results are the same with --jobs 1, 2.", "The numpy loop's digits are the same."]),
        (
            ("--quick",),
            ("a", "b"),
            True,
            1,
            ["Results DIFFER with --jobs 1, 2.", "The numpy loop's digits are the same."],
        ),
        ((), ("a", "a"), False, 1, ["Results are the same with --jobs 1, 2.", "The numpy loop's digits DIFFER."]),
    ],
)
def test_results_that_depend_on_the_number_of_jobs_or_on_the_loop_are_an_error(
    command, capsys, tmp_path, arguments, hashes, same, code, last
):
    assert command(*arguments, hashes=hashes, same=same)[0] == code
    assert capsys.readouterr().out.splitlines()[-2:] == last
    written = json.loads((tmp_path / "output" / "benchmark.json").read_text())
    assert [run["measured_sha256"] for run in written["grid"]] == list(hashes)


@pytest.mark.parametrize(
    "error", [OrganizerError("it is so", "a", "b", "c", where="d"), subprocess.CalledProcessError(2, "x")]
)
def test_what_cannot_be_measured_ends_with_2(command, capsys, tmp_path, error):
    assert command(error=error)[0] == 2
    assert capsys.readouterr().out == f"{error}\n"
    assert not (tmp_path / "output").exists()


def test_traces_are_generated_only_into_the_benchmarks_own_folder(command, tmp_path):
    own = benchmark.ROOT / "output" / "benchmark" / "traces"
    assert command()[1] == {"measured": own, "generated": own}
    assert command("--quick")[1] == {"measured": benchmark.ROOT / "sample_traces", "generated": None}
    assert command("--traces", str(tmp_path))[1] == {"measured": tmp_path, "generated": None}


def test_only_missing_traces_are_generated(monkeypatch, tmp_path):
    commands = []
    monkeypatch.setattr(benchmark.subprocess, "run", lambda command, check: commands.append(command))
    cases = [{"model": "M", "dataset": name, "ep": [1, 2]} for name in ("there", "b", "c")]
    grid = grid_from_mapping(grid_mapping(models={"M": {"layers": 1, "experts": 2}}, cases=cases))
    (tmp_path / "M").mkdir()
    (tmp_path / "M" / "there.npy").touch()
    benchmark.make_traces(grid, tmp_path)
    assert [command[2:] for command in commands] == [["generate", "--output", str(tmp_path), "--profile", "M/b", "M/c"]]
    for name in ("b", "c"):
        (tmp_path / "M" / f"{name}.npy").touch()
    benchmark.make_traces(grid, tmp_path)
    assert len(commands) == 1


def test_a_folder_without_traces_is_refused_and_stays_empty(capsys, tmp_path):
    (tmp_path / "traces").mkdir()
    arguments = ["--traces", str(tmp_path / "traces"), "--output", str(tmp_path / "output")]
    assert benchmark.main(arguments) == 2
    assert "the trace is missing" in capsys.readouterr().out
    assert list((tmp_path / "traces").iterdir()) == []


def test_quick_takes_no_other_traces(capsys, tmp_path):
    with pytest.raises(SystemExit) as refused:
        benchmark.main(["--quick", "--traces", str(tmp_path)])
    assert refused.value.code == 2
    assert "--quick measures the sample traces; leave --traces and --markdown out" in capsys.readouterr().err


def test_tables_show_megabytes_and_say_what_is_not_known():
    costs = {"wall_seconds": 15.04, "processor_seconds": 27.0, "page_faults": 9}
    rows = [{"run": "a loop", "cases": 7, "jobs": 2} | costs]
    assert table.table(rows, table.GRID_COLUMNS).splitlines()[-1] == "| a loop | 7 | 2 | 15.0 | 27.0 | 9 | unknown |"
    rows[0]["peak_bytes"] = 1_711_400_000
    assert table.table(rows, table.GRID_COLUMNS).splitlines()[-1] == "| a loop | 7 | 2 | 15.0 | 27.0 | 9 | 1711 |"
    rows[0]["peak_bytes"] = 1_260
    assert table.table(rows, table.GRID_COLUMNS).splitlines()[-1] == "| a loop | 7 | 2 | 15.0 | 27.0 | 9 | 0.0013 |"


def test_the_grid_of_one_trace_has_its_first_traces_cases_alone(tmp_path):
    cases = [{"model": "M", "dataset": name, "ep": [ep]} for name, ep in (("a", 1), ("b", 1), ("a", 2))]
    mapping = grid_mapping(models={"M": {"layers": 1, "experts": 2}}, cases=cases)
    (tmp_path / "grid.yaml").write_text(json.dumps(mapping))
    written = whole_grid.one_trace_grid(tmp_path / "grid.yaml", tmp_path / "output")
    assert read_yaml(written, "grid") == mapping | {"cases": [cases[0], cases[2]]}


# Growth


def test_an_exponent_compares_a_row_with_the_one_before_of_the_same_size():
    rows = [{"varied": "layers", "layers": layers, "cost": cost} for layers, cost in ((2, 3.0), (8, 6.0))]
    assert growth.exponent(rows[1], rows[0], "cost") == 0.5
    assert growth.exponent(rows[0], None, "cost") is None
    assert growth.exponent(rows[1], rows[0] | {"cost": None}, "cost") is None
    row = growth.Sizes()._asdict() | {"varied": "layers", "milliseconds": 2.5, "replay_exponent": 0.5}
    row |= {"trace_bytes": 2e7, "processor_seconds": 1.0, "peak_bytes": 3e7, "left_bytes": 4e5}
    shown = "| layers | 1024 | 16 | 256 | 64 | 64 | 20 | 2.5 (+0.50) | 1.0 | 30 | 0.4 |"
    assert table.table([row], table.GROWTH_COLUMNS).splitlines()[-1] == shown


@pytest.mark.parametrize("quick", [True, False])
def test_growth_ends_with_512_experts_on_1024_devices_and_every_row_is_a_case(quick):
    rows = list(growth.steps(quick))
    assert rows[-1][1][1:] == (128, 512, 1024, 512)
    like = grid_mapping()
    for varied, sizes in rows:
        (case,) = grid_from_mapping(growth.grid_of(sizes, like)).cases
        assert (case.layers, case.experts, case.devices, case.redundant_experts) == sizes[1:]
        assert case.slots >= 1 and sizes.iterations >= case.window + 2
        assert varied == "largest" or sizes._replace(**{varied: 0, "redundant": 0}) == growth.Sizes()._replace(
            **{varied: 0, "redundant": 0} | ({"iterations": 256} if quick and varied != "iterations" else {})
        )


# A submission, and a day of them

COSTS = {
    "cases": 25,
    "jobs": 2,
    "ingestion_seconds": 8.64,
    "scoring_seconds": 0.5,
    "worker_seconds": 17.28,
    "sent_bytes": 1_000,
    "results_bytes": 2_000_000,
    "scored_bytes": 400_000,
    "page_bytes": 590_000,
    "printed_bytes": 9_000,
    "kept_bytes": 3_000_000,
    "peak_bytes": None,
    "scoring_peak_bytes": 60_000_000,
}


def test_a_worker_is_held_by_both_steps_and_their_containers():
    assert submission.worker_seconds(ingestion=8.0, scoring=1.0) == 8.0 + 5.0 + 2 * 1.7
    assert submission.worker_seconds(ingestion=8.0, scoring=7.0) == 8.0 + 7.0 + 2 * 1.7


def test_a_day_costs_as_many_times_what_one_submission_costs():
    rows = {row["what"]: (row["one"], row["day"]) for row in submission.day_rows(COSTS, 10_000)}
    assert rows["processor time of ingestion, 25 cases"] == ("8.6 s", "1.00 cores, never idle")
    assert rows["a worker is held, 2 jobs"] == ("17.3 s", "2.00 workers, never idle")
    assert rows["sent by the participant"] == ("0.001 MB", "0.01 GB")
    assert rows["kept, all"] == ("3 MB", "30 GB")
    assert rows["kept in a year"] == ("", "10.9 TB")
    assert rows["fill a user's 15 GB"] == ("5000 submissions", "")
    assert rows["memory of ingestion, at most"][0] == "unknown"
    assert rows["memory of scoring, at most"][0] == "60 MB"


def test_a_zip_has_a_folders_files_but_no_compiled_ones(tmp_path):
    (tmp_path / "a.py").write_bytes(b"x" * 5000)
    before = submission.zipped_bytes(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_bytes(os.urandom(5000))
    assert submission.zipped_bytes(tmp_path) == before < 1000
    (tmp_path / "b").write_bytes(os.urandom(5000))
    assert submission.zipped_bytes(tmp_path) > 5000


# The documents

PLACES = "Head\n<!-- begin: a -->\nold\nlines\n<!-- end: a -->\nbetween\n<!-- begin: b c -->\n<!-- end: b c -->\n"


def test_what_stands_between_the_comments_is_replaced(tmp_path):
    (path := tmp_path / "page.md").write_text(PLACES)
    published.publish([path], {"a": "| 1 |\n| 2 |", "b c": "\\1"})
    new = (
        "Head\n<!-- begin: a -->\n| 1 |\n| 2 |\n<!-- end: a -->\nbetween\n<!-- begin: b c -->\n\\1\n<!-- end: b c -->\n"
    )
    assert path.read_text() == new


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        ({"a": "x"}, "{path}: b c has a place and not a table. Got: b c. Expected: both of b c. "),
        ({"a": "x", "b c": "y", "d": "z"}, "{path}: d has a table and not a place. Got: d. Expected: both of d. "),
    ],
)
def test_a_place_without_a_table_and_a_table_without_a_place_are_refused(tmp_path, texts, error):
    (path := tmp_path / "page.md").write_text(PLACES)
    with pytest.raises(OrganizerError) as refused:
        published.publish([path], texts)
    next_step = "Next: correct the name between the comments, or tools/benchmark.py."
    assert str(refused.value) == error.format(path=path) + next_step
    assert path.read_text() == PLACES


def test_the_documents_show_the_numbers_that_are_stored_beside_them(monkeypatch, tmp_path):
    copies = [tmp_path / path.name for path in benchmark.DOCUMENTS]
    for path, copy in zip(benchmark.DOCUMENTS, copies, strict=True):
        copy.write_bytes(path.read_bytes())
    monkeypatch.setattr(benchmark, "DOCUMENTS", copies)
    monkeypatch.setattr(benchmark, "NUMBERS", tmp_path / "benchmark.json")
    stored = benchmark.ROOT / "docs" / "benchmark.json"
    assert benchmark.main(["--markdown", str(stored)]) == 0
    assert (tmp_path / "benchmark.json").read_bytes() == stored.read_bytes()
    for name in ("speed.md", "scale.md"):
        assert (tmp_path / name).read_bytes() == (benchmark.ROOT / "docs" / name).read_bytes()


def test_figures_of_the_sample_grid_do_not_get_into_the_documents(tmp_path, capsys):
    (path := tmp_path / "benchmark.json").write_text('{"grid_name": "sample"}')
    assert benchmark.main(["--markdown", str(path)]) == 2
    assert capsys.readouterr().out == (
        "--markdown: the documents show the official grid. Got: grid sample. Expected: benchmark.json of "
        "tools/benchmark.py without --quick. Next: measure again.\n"
    )


def test_the_sentences_state_what_was_measured():
    costs = {"pass_seconds": 0.05, "open_passes": 6.0, "hash_passes": 3.6}
    costs |= {"replay_passes": 2.4, "ds_eplb_plan_milliseconds": 3.2}
    cases = [costs | {"model": "A"}, costs | {"model": "A", "replay_passes": 4.4}, costs | {"model": "B"}]
    assert sentences.passes(cases) == (
        "A pass took 50 ms for A and 50 ms for B. To open a trace costs 10 passes, its hash included, and a replay "
        "2 to 4. DS-EPLB plans in 3 ms."
    )
    loop, run = {"processor_seconds": 12.0, "wall_seconds": 10.0}, {"processor_seconds": 3.0, "wall_seconds": 4.0}
    assert sentences.beside(loop, run | {"cases": 4}) == (
        "On one trace's 4 cases the loop took 4.0 times the processor time of the ingestion program, and 2.5 times its "
        "wall-clock time: from the file to the digits, planning and isolation included."
    )
