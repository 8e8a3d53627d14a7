"""A trace that is read chunk by chunk gives the digits of one that is in memory, and holds no more than it says."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import sealing
from cases import grid_mapping, make_case
from placement.chunked_trace import ChunkedTrace
from placement.clairvoyant import clairvoyant_par
from placement.decisions import pack, replay_decisions, unpack
from placement.errors import OrganizerError
from placement.evaluation.turns import run_cases
from placement.exact_sum import exact_sum
from placement.explain import explain, heat_map
from placement.grid import Case, grid_from_mapping
from placement.par_rows import PIECE, iteration_means, layer_means, ranked
from placement.parts import later_par
from placement.replay import Replay, replay
from placement.results import mean_par, measures, series
from placement.trace import Hotness, Trace, trace_sha256
from placement.traces.files import TraceFolder
from placement.traces.par_file import ParFile
from sealing import seal_trace
from submissions import tiny_grid, write_policy
from test_replay import RandomPolicy
from traces.plain_trace import PlainTrace
from traces.reference import build

WINDOW, KEY = 20, bytes(range(100, 132))
SIZES = (1, 7, WINDOW - 1, WINDOW, WINDOW + 1)
FORMS = ("npy", "int16", "Fortran", "npz", "npz int16", "npz Fortran", "sealed")
HOTNESS = np.random.default_rng(3).integers(0, 40, (150, 3, 6)).astype(np.int32)
MANIFEST = {"traces": {"M/d": {"shape": [150, 3, 6], "sha256": trace_sha256(HOTNESS)}}}
CASES = [make_case(3, 6, devices, WINDOW, latency) for devices, latency in ((2, 0), (3, 25))]


def store(folder: Path, form: str = "npy") -> Path:
    """Write HOTNESS as M/d in some form, and return the file."""
    path = folder / "M" / f"d.{form.split()[0]}"
    path.parent.mkdir(exist_ok=True)
    stored = (
        HOTNESS.astype(np.int16) if "int16" in form else np.asfortranarray(HOTNESS) if "Fortran" in form else HOTNESS
    )
    if form.startswith("npz"):
        np.savez_compressed(path, stored)
        return path
    np.save(plain := path.with_suffix(".npy"), stored)
    if form == "sealed":
        seal_trace(PlainTrace(plain, "trace M/d"), path, KEY, "M/d")
        plain.unlink()
    return path if form == "sealed" else plain


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealed files of several chunks: nine iterations each."""
    monkeypatch.setattr(sealing, "CHUNK_BYTES", 9 * HOTNESS[0].nbytes)


def opened(folder: Path, chunk: int | None = 7, manifest: object = MANIFEST) -> Hotness:
    return TraceFolder(folder, manifest, KEY, 0, chunk).trace_of(CASES[0])


def run(trace: Hotness, case: Case) -> tuple[Replay, list[object]]:
    policy = RandomPolicy(5, case.devices, case.redundant_experts)
    done = replay(trace, case, lambda start, stop, table, i: policy(trace.window(start, stop), table, i))
    return done, policy.seen


def everything(trace: Hotness, case: Case) -> str:
    """All that a case leaves, with the digits of each number, and what its policy saw."""
    done, seen = run(trace, case)
    static, planned = replay(trace, case, lambda *_: None).par, clairvoyant_par(trace, case)
    yardsticks = [mean_par(static), mean_par(planned), later_par(planned, case), iteration_means(planned).tolist()]
    arrays = {name: array.tolist() for name, array in {**series(done), **pack(done)}.items()}
    left = [trace.sha256, measures(done, trace), explain(done, trace), arrays, yardsticks, heat_map(done.par).tolist()]
    return json.dumps([left, seen])


@pytest.mark.parametrize("case", CASES, ids=["no latency", "a latency above the window"])
@pytest.mark.parametrize("chunk", SIZES)
def test_chunks_of_any_size_leave_what_one_piece_leaves(tmp_path: Path, chunk: int, case: Case) -> None:
    store(tmp_path)
    assert everything(opened(tmp_path, chunk), case) == everything(Trace(HOTNESS), case)


@pytest.mark.parametrize("form", FORMS)
def test_files_of_every_form_leave_the_same(tmp_path: Path, form: str) -> None:
    store(tmp_path, form)
    assert everything(opened(tmp_path), CASES[0]) == everything(Trace(HOTNESS), CASES[0])


def test_one_layer_and_one_expert_leave_the_same() -> None:
    values, case = HOTNESS[:, :1, :1], make_case(1, 1, 2, WINDOW, redundant=1)
    assert everything(ChunkedTrace(InMemory(values), trace_sha256(values), WINDOW, ParFile, 7), case) == everything(
        Trace(values), case
    )


class InMemory:
    """Values that count how often each iteration is read."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape, self.ndim, self.dtype = values, values.shape, values.ndim, values.dtype
        self.reads = np.zeros(len(values), int)

    def read(self, start: int, out: np.ndarray) -> np.ndarray:
        self.reads[start : start + len(out)] += 1
        out[:] = self.values[start : start + len(out)]
        return out

    def pieces(self, seen: object) -> Iterator[np.ndarray]:
        raise AssertionError("a stream is not looked at before")


def test_going_forward_reads_every_iteration_once_and_holds_a_window_and_two_chunks() -> None:
    values, held = InMemory(HOTNESS), []
    trace = ChunkedTrace(values, "no hash", WINDOW, ParFile, 7)

    def decline(start: int, stop: int, deployment: np.ndarray, iteration: int) -> None:
        np.testing.assert_array_equal(trace.window(start, stop), np.maximum(HOTNESS[start:stop], 1))
        held.append(trace.held_bytes)

    replay(trace, CASES[0], decline)
    assert values.reads.tolist() == [1] * len(HOTNESS)
    # Five chunks of 7 iterations, an int64 sum for each layer, and a block of 16 iterations.
    assert max(held) == 5 * 7 * (HOTNESS[0].nbytes + 3 * 8) + 16 * HOTNESS[0].nbytes


def test_what_is_pinned_is_not_read_again() -> None:
    values, pinned = InMemory(HOTNESS), [(0, 3), (12, 16), (148, 150)]
    trace = ChunkedTrace(values, "no hash", WINDOW, ParFile, 7, pinned)
    replay(trace, CASES[0], lambda *_: None)
    for first, last in pinned:
        assert trace.sums(first, last).tolist() == np.maximum(HOTNESS[first:last], 1).sum(axis=0).tolist()
    assert values.reads.max() == 1
    assert trace.sums(1, 3).tolist() == np.maximum(HOTNESS[1:3], 1).sum(axis=0).tolist()
    assert values.reads[:4].tolist() == [1, 2, 2, 1]


def test_a_short_trace_is_held_and_a_longer_one_is_not(tmp_path: Path) -> None:
    for form in ("npy", "npz", "sealed"):
        path = store(tmp_path, form)
        at_most = TraceFolder(tmp_path, MANIFEST, KEY, HOTNESS.nbytes)
        assert isinstance(at_most.trace_of(CASES[0]), Trace)
        less = TraceFolder(tmp_path, MANIFEST, KEY, HOTNESS.nbytes - 1)
        assert isinstance(less.trace_of(CASES[0]), ChunkedTrace)
        path.unlink()


# What is wrong is found before anything is measured


def refusal(folder: Path, manifest: object = MANIFEST) -> str:
    with pytest.raises(OrganizerError) as caught:
        opened(folder, manifest=manifest)
    return str(caught.value)


@pytest.mark.parametrize("form", ["npy", "npz", "sealed"])
def test_another_hash_than_the_manifest_s_is_found_before_a_policy_is_called(tmp_path: Path, form: str) -> None:
    (tmp_path / "traces").mkdir()
    store(tmp_path / "traces", form)
    wrong = {"traces": {"M/d": {"shape": [150, 3, 6], "sha256": "0" * 64}}}
    grid, calls = tiny_grid(), write_policy(tmp_path / "policy", "raise SystemExit('the policy was started')")
    with pytest.raises(OrganizerError, match=r"^trace M/d: the trace's sha256 is not the manifest's\. "):
        next(
            run_cases(
                calls, CASES[:1], lambda: opened(tmp_path / "traces", manifest=wrong), grid, time.monotonic() + 99
            )
        )


def test_a_damaged_last_chunk_is_found_at_once(tmp_path: Path) -> None:
    path = store(tmp_path, "sealed")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert refusal(tmp_path).startswith("trace M/d: the sealed trace cannot be opened. Got: a file, a name and a key ")


def test_a_damaged_end_of_an_archive_is_found_at_once(tmp_path: Path) -> None:
    path = store(tmp_path, "npz")
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") - 40] ^= 1
    path.write_bytes(data)
    text = refusal(tmp_path)
    assert text.startswith("trace M/d: the trace cannot be read. Got: ") and text.endswith(
        " Expected: a complete .npy file, or .npz with one array, without pickles. "
        "Next: copy d.npz again and compare it with its manifest."
    )


@pytest.mark.parametrize("form", ["npy", "npz"])
def test_a_value_out_of_range_is_found_with_its_place(tmp_path: Path, form: str) -> None:
    path = store(tmp_path, form)
    wrong = HOTNESS.astype(np.int64)
    wrong[149, 2, 1] = 2**31
    (np.save if form == "npy" else np.savez)(path, wrong)
    assert refusal(tmp_path).startswith(
        "trace M/d: a hotness is out of range. Got: 2147483648 at iteration 150, layer 2, expert 1. "
    )


def test_floats_are_refused(tmp_path: Path) -> None:
    np.savez(store(tmp_path, "npz"), HOTNESS.astype(float))
    assert refusal(tmp_path).startswith("trace M/d: the trace's values are not integers. Got: dtype float64. ")


def test_a_trace_without_its_key_is_refused(tmp_path: Path) -> None:
    store(tmp_path, "sealed")
    with pytest.raises(OrganizerError, match=r"^trace M/d: the trace is sealed\. Got: no key\. "):
        TraceFolder(tmp_path, MANIFEST, None, 0).trace_of(CASES[0])


# PAR in a file


@pytest.mark.parametrize("layers", [1, 2, 9])
def test_par_in_a_file_gives_the_digits_of_an_array(layers: int) -> None:
    rng = np.random.default_rng(layers)
    par = 1 + rng.exponential(0.3, (2 * PIECE + 11, layers))
    # Ties, and a value beyond the quick sum's bound at the end.
    par[5:900] = par[1000:1895]
    for last in (1.5, 600.0):
        par[-1, -1] = last
        file = ParFile(*par.shape)
        file[0:3000], file[3000 : len(par)] = par[:3000], par[3000:]
        assert len(file) == len(par) and file.size == par.size
        assert file[7:9].tolist() == par[7:9].tolist() and file[len(par) : len(par) + 5].size == 0
        assert exact_sum(file) == exact_sum(par) and exact_sum(file, 13) == exact_sum(par[13:])
        assert iteration_means(file).tolist() == par.mean(axis=1).tolist()
        assert layer_means(file).tolist() == par.mean(axis=0).tolist()
        assert heat_map(file).tolist() == heat_map(par).tolist()
        ranks = [1, 2, par.size // 2, par.size - 1, par.size]
        assert ranked(file, ranks) == np.sort(par, axis=None)[np.array(ranks) - 1].tolist() == ranked(par, ranks)


def test_a_log_of_decisions_of_a_long_trace_is_read_back(tmp_path: Path) -> None:
    store(tmp_path)
    done, _ = run(opened(tmp_path), CASES[0])
    sizes, decisions = unpack(pack(done))
    assert sizes.iterations == 150 and [decision.iteration for decision in decisions] == done.calls
    moved = [move.experts.size for decision in decisions for move in decision.moves]
    assert moved == [application.changed for application in done.applications] and sum(moved) > 30


@pytest.mark.parametrize("form", ["npy", "sealed"])
def test_a_reference_of_a_long_trace_is_the_same(tmp_path: Path, form: str) -> None:
    store(tmp_path, form)
    mapping = grid_mapping(window=WINDOW, models={"M": {"layers": 3, "experts": 6}})
    grid = grid_from_mapping(mapping | {"cases": [{"model": "M", "dataset": "d", "ep": [2, 3]}]})
    manifest = {"traces": {"M/d": MANIFEST["traces"]["M/d"] | {"origin": "test", "licence": "none"}}}
    kinds = [TraceFolder(tmp_path, manifest, KEY), TraceFolder(tmp_path, manifest, KEY, 0, 7)]
    whole, chunked = (build(grid, kind) for kind in kinds)
    assert json.dumps(chunked[0]) == json.dumps(whole[0])
    assert {name: curve.tobytes() for name, curve in chunked[1].items()} == {
        name: curve.tobytes() for name, curve in whole[1].items()
    }


def test_a_log_played_back_on_a_long_trace_gives_the_run_s_numbers(tmp_path: Path) -> None:
    store(tmp_path)
    case, whole = CASES[0], Trace(HOTNESS)
    done, _ = run(whole, case)
    chunked = opened(tmp_path)
    again = replay_decisions(chunked, case, unpack(pack(done))[1])
    assert measures(again, chunked) == measures(done, whole)
