"""The benchmark: what its numbers mean, without a word about how large they are."""

import itertools
import json
import sys

import numpy as np
import pytest

from benchmarking import clock, memory, plain, table, whole_grid


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
        assert plain.plain_seconds(stored, devices=2) == 192 / 6 * 8 / 4
    else:
        assert plain.numpy_loop_seconds(stored, np.array([[0, 1, 1], [2, 3, 3]])) == 192 / 96 * 8 / 4


def test_the_hash_of_a_run_leaves_out_its_clocks_and_nothing_else(tmp_path):
    def hashed(**changes):
        case = {"mean_par": 1.5, "policy_seconds": 0.1, "slowest_call_seconds": 0.1} | changes
        (tmp_path / "results.json").write_text(json.dumps({"cases": [case], "duration_seconds": len(changes)}))
        return whole_grid.measured_sha256(tmp_path)

    (tmp_path / "series.npz").write_bytes(b"series")
    (tmp_path / "explain.json").write_bytes(b"{}")
    before = hashed()
    assert hashed(policy_seconds=9, slowest_call_seconds=9) == before
    assert hashed(mean_par=1.6) != before
    (tmp_path / "series.npz").write_bytes(b"other")
    assert hashed() != before


@pytest.mark.skipif(sys.platform != "linux", reason="the sizes of processes are read from /proc")
def test_peak_memory_counts_what_children_hold():
    # Works for as long as several looks take.
    child = "import hashlib; held = b'x' * 80_000_000; [hashlib.sha256(held) for _ in range(10)]"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    assert 80_000_000 < memory.peak_memory([sys.executable, "-c", parent]) < 200_000_000


def test_tables_show_megabytes_and_say_what_is_not_known():
    rows = [{"jobs": 2, "wall_seconds": 15.04, "processor_seconds": 27.0, "peak_bytes": None}]
    assert table.table(rows, table.GRID_COLUMNS).splitlines()[-1] == "| 2 | 15.0 | 27.0 | unknown |"
    rows[0]["peak_bytes"] = 1_711_400_000
    assert table.table(rows, table.GRID_COLUMNS).splitlines()[-1] == "| 2 | 15.0 | 27.0 | 1711 |"
