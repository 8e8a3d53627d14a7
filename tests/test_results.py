"""What is written for the scorer: rounded means, nearest-rank percentiles, and files that appear whole."""

import json
import platform
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from cases import Answers, B, P, grid_mapping, make_case, redeploy, steady_trace
from placement import SIMULATOR_VERSION
from placement.evaluation import case_run
from placement.evaluation.result_files import write_json, write_series
from placement.evaluation.versions import versions
from placement.grid import Cost, grid_from_mapping
from placement.replay import Replay, replay
from placement.results import MEASURES, identity, mean_par, measures, series
from submissions import run_case


def measured(values, shape=None):
    """The measures of a replay without calls that measured these PAR values."""
    par = np.array(values, np.float64).reshape(shape or (len(values), 1))
    return measures(Replay(make_case(), par, [], [], []), steady_trace(len(par)))


def run():
    return replay(steady_trace(9), make_case(), Answers(redeploy([1, 0], [B, P])))


@pytest.mark.parametrize(
    ("values", "p50", "p95", "p99"),
    [
        ([1.5], 1.5, 1.5, 1.5),
        ([2, 1], 1, 2, 2),
        ([3, 1, 2], 2, 3, 3),
        (range(1, 21), 10, 19, 20),
        (range(100, 0, -1), 50, 95, 99),
        (range(1, 102), 51, 96, 100),
        (range(1, 201), 100, 190, 198),
    ],
)
def test_percentiles_are_nearest_rank(values, p50, p95, p99):
    row = measured(list(values))
    assert (row["par_p50"], row["par_p95"], row["par_p99"]) == (p50, p95, p99)


def test_percentiles_are_over_all_iterations_and_layers_and_rounded():
    row = measured([4, 1, 3, 2, 6, 5, 8, 7.1234567890123456], (4, 2))
    assert (row["par_p50"], row["par_p95"]) == (4, 8)
    assert measured([7.1234567890123456])["par_p99"] == 7.123456789012


def test_mean_par_is_rounded_to_12_decimals():
    assert mean_par(np.array([[1, 1, 2.0]])) == 1.333333333333
    assert mean_par(np.array([[2.0], [1], [2]])) == 1.666666666667


def test_mean_par_does_not_depend_on_the_order_of_summation():
    values = np.array([2.0**53] + [1.0] * 1024)
    assert np.cumsum(values)[-1] == 2.0**53, (
        "summed in this order the small values are not lost: the test shows nothing"
    )
    assert mean_par(values) == mean_par(values[::-1]) == (2**53 + 1024) / 1025


def test_measures_count_what_the_replay_did():
    row = measures(run(), steady_trace(9))
    assert tuple(row) == MEASURES
    assert row == {
        "mean_par": 1.416666666667,
        "transmit_amount": 5,
        "calls": 1,
        "redeployed_layers": 2,
        "fixed_par": round(5 / 18, 12),
        "roll_out_par": round(0.5 / 18, 12),
        "roll_out_least_par": 0.0,
        "par_p50": 1.5,
        "par_p95": 1.5,
        "par_p99": 1.5,
    }
    assert {type(value) for value in row.values()} == {int, float}


class TimedProcess:
    """Stands for a policy's process that declines, and has booked these seconds."""

    log, layers = "", ()

    def __init__(self, seconds, *_):
        self.seconds = seconds

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def start(self):
        pass

    def rebalance(self, *_):
        pass


@pytest.mark.parametrize(
    ("seconds", "total", "slowest"),
    [([5.0, 0.25, 0.5, 0.125], 5.875, 0.5), ([0.1, 0.2], 0.3, 0.2), ([5.0], 5.0, 0.0), ([], 0.0, 0.0)],
)
def test_the_start_counts_as_seconds_of_the_policy_and_not_as_a_call(monkeypatch, seconds, total, slowest):
    monkeypatch.setattr(case_run, "PolicyProcess", partial(TimedProcess, seconds))
    grid = grid_from_mapping(grid_mapping())
    row = run_case(Path(), make_case(), steady_trace(), grid, 0.0).row
    assert (row["policy_seconds"], row["slowest_call_seconds"]) == (total, slowest)


def test_series_are_the_curves_of_the_replay():
    curves = series(run())
    assert list(curves) == ["par", "transmit", "layer_par"]
    assert curves["par"].tolist() == [1.5] * 6 + [1.25] * 3
    assert curves["transmit"].tolist() == [0, 0, 0, 0, 2, 3, 0, 0, 0]
    assert curves["layer_par"].tolist() == [pytest.approx(4 / 3), 1.5]


def test_identity_holds_everything_that_must_agree_with_the_reference():
    assert identity(make_case(latency=2), Cost(60.0, 7, 9e11), "ab") == {
        "model": "M",
        "dataset": "d",
        "ep": 2,
        "redundant_experts": 2,
        "groups": 1,
        "nodes": 1,
        "trace_sha256": "ab",
        "window": 3,
        "latency": 2,
        "cost": {"balanced_compute_seconds": 60.0, "expert_bytes": 7, "bandwidth_bytes_per_second": 9e11},
    }


def test_versions_are_those_that_run():
    assert versions() == {
        "simulator": SIMULATOR_VERSION,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
    }


# Files


def test_json_is_written_whole_and_keeps_every_digit(tmp_path):
    path = tmp_path / "results.json"
    content = {"mean_par": 1.385416666667, "third": 1 / 3, "none": None, "name": "\u00e9", "cases": [1, True]}
    write_json(path, content)
    assert json.loads(path.read_text(encoding="utf-8")) == content
    assert path.read_bytes().endswith(b"}\n")
    assert [found.name for found in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), np.float64("nan")])
def test_json_refuses_numbers_that_are_not_finite_and_leaves_no_file(tmp_path, number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "results.json", {"cases": [{"mean_par": number}]})
    assert list(tmp_path.iterdir()) == []


def test_a_refused_json_leaves_the_old_file_as_it_was(tmp_path):
    path = tmp_path / "results.json"
    write_json(path, {"old": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"new": float("nan")})
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(path, {"new": np.int64(1)})
    assert json.loads(path.read_bytes()) == {"old": 1}
    write_json(path, {"new": 2})
    assert json.loads(path.read_bytes()) == {"new": 2}
    assert [found.name for found in tmp_path.iterdir()] == ["results.json"]


def test_series_are_written_with_the_same_bytes_whatever_the_time(tmp_path, monkeypatch):
    write_series(tmp_path / "a.npz", series(run()))
    monkeypatch.setattr("time.time", lambda: 1e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2001, 9, 9, 1, 46, 40, 6, 252, 0))
    write_series(tmp_path / "b.npz", series(run()))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sorted(found.name for found in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_what_was_written_is_returned(tmp_path):
    """Hashes and signature are of these bytes, not of a file that another program may have changed since."""
    assert write_json(tmp_path / "a.json", {"a": 1}) == (tmp_path / "a.json").read_bytes()
    assert write_series(tmp_path / "a.npz", {"a": np.arange(3)}) == (tmp_path / "a.npz").read_bytes()


def test_series_load_without_pickle_under_their_names(tmp_path):
    arrays = {
        "M/d/2/par": np.linspace(1, 2, 7),
        "M/d/2/transmit": np.arange(7),
        "none": np.empty(0),
        "every second": np.arange(12).reshape(3, 4)[:, ::2],
    }
    write_series(tmp_path / "series.npz", arrays)
    with np.load(tmp_path / "series.npz", allow_pickle=False) as archive:
        assert archive.files == list(arrays)
        for name, array in arrays.items():
            assert archive[name].dtype == array.dtype and np.array_equal(archive[name], array)


def test_series_are_compressed(tmp_path):
    write_series(tmp_path / "series.npz", {"transmit": np.zeros(10_000, np.int64)})
    assert (tmp_path / "series.npz").stat().st_size < 1000


def test_series_without_curves_are_a_readable_file(tmp_path):
    write_series(tmp_path / "series.npz", {})
    with np.load(tmp_path / "series.npz", allow_pickle=False) as archive:
        assert archive.files == []


def test_series_refuse_objects_and_leave_no_file(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        write_series(tmp_path / "series.npz", {"par": np.array([{}])})
    assert list(tmp_path.iterdir()) == []
