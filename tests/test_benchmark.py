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
from benchmarking import clock, memory, plain, table, whole_grid
from cases import grid_mapping
from placement.errors import OrganizerError
from placement.grid import grid_from_mapping
from placement.traces.yaml_file import read_yaml


def test_the_median_of_all_calls_counts(monkeypatch):
    ticks = itertools.accumulate([0, 5, 0, 1, 0, 2])
    monkeypatch.setattr(clock.time, "perf_counter", lambda: next(ticks))
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

    def run(*arguments, hashes=("a", "a"), error=None):
        folders = {"measured": None, "generated": None}

        def measure(grid_path, traces, output, times):
            folders["measured"] = traces
            if error:
                raise error
            return {"grid": [{"measured_sha256": digest} for digest in hashes]}

        monkeypatch.setattr(benchmark, "measure", measure)
        monkeypatch.setattr(benchmark, "make_traces", lambda grid, folder: folders.update(generated=folder))
        return benchmark.main([*arguments, "--output", str(tmp_path / "output")]), folders

    return run


@pytest.mark.parametrize(
    ("arguments", "hashes", "code", "last"),
    [
        ((), ("a", "a"), 0, "Results are the same with --jobs 1, 2."),
        (("--quick",), ("a", "b"), 1, "Results DIFFER with --jobs 1, 2."),
    ],
)
def test_results_that_depend_on_the_number_of_jobs_are_an_error(
    command, capsys, tmp_path, arguments, hashes, code, last
):
    assert command(*arguments, hashes=hashes)[0] == code
    assert capsys.readouterr().out.splitlines()[-1] == last
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
    assert "--quick measures the sample traces; leave --traces out" in capsys.readouterr().err


def test_tables_show_megabytes_and_say_what_is_not_known():
    rows = [{"cases": 7, "jobs": 2, "wall_seconds": 15.04, "processor_seconds": 27.0, "page_faults": 9}]
    assert table.table(rows, table.GRID_COLUMNS).splitlines()[-1] == "| 7 | 2 | 15.0 | 27.0 | 9 | unknown |"
    rows[0]["peak_bytes"] = 1_711_400_000
    assert table.table(rows, table.GRID_COLUMNS).splitlines()[-1] == "| 7 | 2 | 15.0 | 27.0 | 9 | 1711 |"


def test_the_grid_of_one_trace_has_its_first_traces_cases_alone(tmp_path):
    cases = [{"model": "M", "dataset": name, "ep": [ep]} for name, ep in (("a", 1), ("b", 1), ("a", 2))]
    mapping = grid_mapping(models={"M": {"layers": 1, "experts": 2}}, cases=cases)
    (tmp_path / "grid.yaml").write_text(json.dumps(mapping))
    written = whole_grid.one_trace_grid(tmp_path / "grid.yaml", tmp_path / "output")
    assert read_yaml(written, "grid") == mapping | {"cases": [cases[0], cases[2]]}
