"""Traces: the hash of what is stored, and the hotness that is served from it."""

import hashlib
import os
import struct

import numpy as np
import pytest

from placement.errors import OrganizerError
from placement.trace import BLOCK, LARGEST_HOTNESS, Trace, check_fits, trace_sha256
from placement.traces.files import find_trace, open_trace
from placement.traces.held import PIECE, HeldValues

HOTNESS = np.random.default_rng(1).integers(0, 4, (6 * BLOCK + 3, 2, 4))


def plain_sha256(hotness):
    """The hash as the design states it, one value at a time."""
    iterations, layers, experts = np.shape(hotness)
    values = [int(value) for step in hotness for layer in step for value in layer]
    return hashlib.sha256(f"{iterations},{layers},{experts}\n".encode() + struct.pack(f"<{len(values)}i", *values))


STORED = {
    "int32": HOTNESS.astype(np.int32),
    "int8": HOTNESS.astype(np.int8),
    "int16": HOTNESS.astype(np.int16),
    "int64": HOTNESS.astype(np.int64),
    "uint32": HOTNESS.astype(np.uint32),
    "uint64": HOTNESS.astype(np.uint64),
    "big-endian": HOTNESS.astype(">i4"),
    "big-endian int64": HOTNESS.astype(">i8"),
    "Fortran order": np.asfortranarray(HOTNESS.astype(np.int32)),
}


def save(folder, stored, suffix):
    """A trace M/d on disk."""
    (folder / "M").mkdir(exist_ok=True)
    path = folder / "M" / f"d{suffix}"
    if suffix == ".npy":
        np.save(path, stored)
    else:
        np.savez_compressed(path, hotness=stored)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("storage", STORED)
def test_hash_and_hotness_do_not_depend_on_the_storage(tmp_path, storage, suffix):
    path = save(tmp_path, STORED[storage], suffix)
    if storage != "int32":
        assert np.load(path, allow_pickle=False)["hotness" if suffix == ".npz" else ...].dtype == STORED[storage].dtype
    trace = open_trace(tmp_path, "M", "d", None)
    assert trace.sha256 == plain_sha256(HOTNESS).hexdigest()
    assert (trace.iterations, trace.layers, trace.experts) == HOTNESS.shape
    ones = np.where(HOTNESS == 0, 1, HOTNESS)
    assert trace.expert_major.dtype == np.int32 and np.array_equal(trace.expert_major, ones.transpose(1, 2, 0))
    assert trace.totals.dtype == np.int64 and np.array_equal(trace.totals, ones.sum(axis=2).T)
    window = trace.window(5, 90)
    assert window.dtype == np.dtype(np.int32) and window.flags.c_contiguous and np.array_equal(window, ones[5:90])


@pytest.mark.parametrize("storage", STORED)
def test_trace_sha256_of_an_array_is_the_same_hash(storage):
    assert trace_sha256(STORED[storage]) == plain_sha256(HOTNESS).hexdigest()


@pytest.mark.parametrize("iterations", [1, BLOCK - 1, BLOCK, BLOCK + 1])
def test_hash_and_sums_do_not_depend_on_the_blocks(iterations):
    trace = Trace(HOTNESS[:iterations])
    assert trace.sha256 == plain_sha256(HOTNESS[:iterations]).hexdigest()
    assert np.array_equal(trace.totals, np.maximum(HOTNESS[:iterations], 1).sum(axis=2).T)


def test_hash_is_of_the_values_before_zeros_become_ones():
    zeros, ones = Trace(np.zeros((3, 1, 2), np.int32)), Trace(np.ones((3, 1, 2), np.int32))
    assert zeros.sha256 == hashlib.sha256(b"3,1,2\n" + bytes(24)).hexdigest() != ones.sha256
    assert np.array_equal(zeros.expert_major, ones.expert_major)
    assert zeros.totals.tolist() == ones.totals.tolist() == [[2, 2, 2]]
    assert zeros.window(0, 3).tolist() == ones.window(0, 3).tolist() == [[[1, 1]]] * 3


def test_hash_tells_shapes_with_the_same_values_apart():
    hashes = {Trace(np.ones(shape, np.int32)).sha256 for shape in ((4, 2, 3), (2, 4, 3), (4, 3, 2), (24, 1, 1))}
    assert len(hashes) == 4


def test_the_largest_hotness_is_kept_and_its_sums_do_not_overflow():
    trace = Trace(np.full((2, 1, 3), LARGEST_HOTNESS, np.uint32))
    assert trace.window(0, 1).tolist() == [[[2**31 - 1] * 3]]
    assert trace.totals.tolist() == [[3 * (2**31 - 1)] * 2]


def test_windows_are_fresh_and_writable(tmp_path):
    save(tmp_path, STORED["int32"], ".npy")
    trace = open_trace(tmp_path, "M", "d", None)
    first, totals = trace.window(10, 20), trace.totals.copy()
    expected = first.copy()
    first[:] = -1
    assert np.array_equal(trace.window(10, 20), expected)
    assert np.array_equal(trace.expert_major[:, :, 10:20], expected.transpose(1, 2, 0))
    assert np.array_equal(trace.totals, totals)
    assert np.array_equal(np.load(tmp_path / "M" / "d.npy"), HOTNESS)


def test_a_window_can_be_written_into_memory_of_the_caller():
    out = np.full((4, 2, 4), -1, np.int32)
    assert Trace(HOTNESS).window(3, 7, out=out) is out
    assert np.array_equal(out, np.maximum(HOTNESS[3:7], 1))


def test_npy_is_preferred_to_npz(tmp_path):
    save(tmp_path, STORED["int32"], ".npz")
    assert find_trace(tmp_path, "M", "d").name == "d.npz"
    save(tmp_path, STORED["int32"][:5], ".npy")
    assert find_trace(tmp_path, "M", "d").name == "d.npy"
    assert open_trace(tmp_path, "M", "d", None).iterations == 5


def test_the_content_decides_and_not_the_suffix(tmp_path):
    save(tmp_path, STORED["int32"], ".npz").rename(tmp_path / "M" / "d.npy")
    assert open_trace(tmp_path, "M", "d", None).sha256 == plain_sha256(HOTNESS).hexdigest()
    save(tmp_path, STORED["int32"], ".npy").rename(tmp_path / "M" / "d.npz")
    assert open_trace(tmp_path, "M", "d", None).sha256 == plain_sha256(HOTNESS).hexdigest()


def test_a_trace_that_matches_its_manifest_is_opened(tmp_path):
    save(tmp_path, STORED["int16"], ".npy")
    entry = {"shape": list(HOTNESS.shape), "sha256": plain_sha256(HOTNESS).hexdigest(), "origin": "made up"}
    assert open_trace(tmp_path, "M", "d", {"traces": {"M/d": entry}}).sha256 == entry["sha256"]


def test_a_trace_of_window_plus_two_iterations_fits():
    trace = Trace(np.ones((5, 2, 4), np.int32))
    assert check_fits(trace, "trace M/d", 2, 4, window=3) is None


def test_a_file_that_becomes_shorter_during_a_run_is_an_organizers_error(tmp_path):
    path = save(tmp_path, STORED["int32"], ".npy")
    trace = open_trace(tmp_path, "M", "d", None)
    os.truncate(path, path.stat().st_size - 4)
    with pytest.raises(OrganizerError) as caught:
        trace.window(95, 99)
    assert str(caught.value) == (
        "trace M/d: the trace cannot be read. Got: OSError: the file has become shorter. "
        "Expected: a file that nobody changes during a run. "
        "Next: copy the trace again, compare it with its manifest, and repeat the run."
    )


def test_other_values_than_those_that_were_hashed_are_an_organizers_error(tmp_path):
    path = save(tmp_path, STORED["int32"], ".npy")
    # Long ago, by the system's clock of coarse steps.
    os.utime(path, (0, 0))
    trace = open_trace(tmp_path, "M", "d", None)
    assert len(trace.window(0, 98)) == 98
    with open(path, "r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\1\0\0\0")
    with pytest.raises(OrganizerError) as caught:
        trace.window(0, 98)
    assert str(caught.value) == (
        "trace M/d: the trace cannot be read. Got: OSError: the file was changed. "
        "Expected: a file that nobody changes during a run. "
        "Next: copy the trace again, compare it with its manifest, and repeat the run."
    )


@pytest.mark.parametrize("kind", ["i1", "<i4", ">i4", "i8"])
def test_a_negative_hotness_is_found_in_every_dtype(kind):
    stored = np.ones((70, 2, 3), kind)
    stored[66, 1, 2] = -1
    with pytest.raises(OrganizerError, match="-1 at iteration 67, layer 1, expert 2"):
        Trace(stored)


def test_sums_do_not_overflow_where_single_values_are_far_from_it():
    stored = np.full((2, 1, 3), 2**30, np.int32)
    stored[1] = 715_827_882
    assert Trace(stored).totals.tolist() == [[3 * 2**30, 2**31 - 2]]


@pytest.mark.parametrize(("largest", "kind"), [(2**16 - 1, np.uint16), (2**16, np.int32)])
def test_a_narrow_trace_holds_the_same_values_in_two_bytes_where_all_fit(largest: int, kind: type) -> None:
    stored = np.random.default_rng(0).integers(0, 9, (5 * BLOCK, 2, 3), np.int32)
    stored[3 * BLOCK, 1, 2] = largest
    narrow, wide = Trace(stored, narrow=True), Trace(stored)
    assert narrow.expert_major.dtype == kind and narrow.sha256 == wide.sha256
    assert np.array_equal(narrow.expert_major, wide.expert_major) and np.array_equal(narrow.totals, wide.totals)
    assert narrow.window(0, 9).dtype == np.int32 and np.array_equal(narrow.window(0, 9), wide.window(0, 9))
    assert np.array_equal(narrow.sums(0, 4 * BLOCK), wide.sums(0, 4 * BLOCK))


@pytest.mark.parametrize("iterations", [PIECE - 1, PIECE, 3 * PIECE + 1])
def test_held_values_are_filled_and_seen_in_order_before_they_are_worked_on(iterations: int) -> None:
    values, order = np.full((iterations, 2, 3), -1), []

    def fill(first: int, last: int) -> None:
        values[first:last] = np.arange(first, last)[:, None, None]

    held = HeldValues(values, fill)
    found = [piece.copy() for piece in held.pieces(lambda piece: order.append(piece[0, 0, 0]))]
    assert np.concatenate(found)[:, 1, 2].tolist() == list(range(iterations))
    assert order == [piece[0, 0, 0] for piece in found]
    assert held.read(iterations - 2, np.empty((2, 2, 3), np.int32))[:, 0, 0].tolist() == [
        iterations - 2,
        iterations - 1,
    ]


def test_what_keeps_held_values_from_being_filled_is_raised_and_ends_the_work() -> None:
    filled = []

    def fill(first: int, last: int) -> None:
        filled.append(first)
        if first == PIECE:
            raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        list(HeldValues(np.ones((9 * PIECE, 1, 1), np.int32), fill).pieces(len))
    assert filled[:2] == [0, PIECE]
