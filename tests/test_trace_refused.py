"""What is said about a trace that cannot be used; all of it is the organizer's to mend."""

import io
import zipfile

import numpy as np
import pytest

from placement.errors import OrganizerError
from placement.trace import BLOCK, Trace, check_fits, trace_sha256
from placement.traces.files import open_trace

UNREADABLE = "a complete .npy file, or .npz with one array, without pickles"
GOOD = np.arange(24, dtype=np.int32).reshape(4, 3, 2)


def refusal(tmp_path, manifest=None):
    """The text of the error that opening M/d raises, without the folder's path."""
    with pytest.raises(OrganizerError) as caught:
        open_trace(tmp_path, "M", "d", manifest)
    return str(caught.value).replace(str(tmp_path), "TRACES").replace("\\", "/")


def unreadable(got, file):
    return (
        f"trace M/d: the trace cannot be read. Got: {got}. Expected: {UNREADABLE}. "
        f"Next: copy {file} again and compare it with its manifest."
    )


def write(tmp_path, name, data):
    path = tmp_path / "M" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


def npy(array, allow_pickle=False):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_a_missing_trace_is_named(tmp_path):
    (tmp_path / "M" / "d.npy").mkdir(parents=True)
    assert refusal(tmp_path) == (
        "trace M/d: the trace is missing. Got: no file TRACES/M/d.npy, .npz or .sealed. Expected: one of the three. "
        "Next: put the trace there, or correct --traces."
    )


@pytest.mark.parametrize("file", ["d.npy", "d.npz"])
def test_a_trace_cut_off_anywhere_is_refused(tmp_path, file):
    data = npy(GOOD) if file == "d.npy" else npz(hotness=GOOD)
    for length in range(len(data)):
        write(tmp_path, file, data[:length])
        text = refusal(tmp_path)
        assert text.startswith("trace M/d: the trace cannot be read. Got: "), length
        assert text.endswith(unreadable("", file).partition("Got: ")[2]), length


@pytest.mark.parametrize(
    ("file", "data", "got"),
    [
        ("d.npy", b"", "EOFError: No data left in file"),
        ("d.npy", npy(GOOD)[:-1], "ValueError: mmap length is greater than file size"),
        ("d.npz", npz(hotness=GOOD)[:-1], "BadZipFile: File is not a zip file"),
        ("d.npz", npz(one=GOOD, two=GOOD), "ValueError: 2 arrays in the file"),
        ("d.npz", npz(), "ValueError: 0 arrays in the file"),
        ("d.npz", zipped(readme="text"), "ValueError: no array in the file"),
        ("d.npy", npy(GOOD.astype(object), True), "ValueError: Array can't be memory-mapped: Python objects in dtype."),
        (
            "d.npz",
            npz(hotness=GOOD.astype(object)),
            "ValueError: Object arrays cannot be loaded when allow_pickle=False",
        ),
    ],
    ids=["empty", "cut .npy", "cut .npz", "two arrays", "no array", "text", "pickle in .npy", "pickle in .npz"],
)
def test_a_file_that_holds_no_trace_is_refused(tmp_path, file, data, got):
    write(tmp_path, file, data)
    assert refusal(tmp_path) == unreadable(got, file)


def test_a_damaged_header_is_refused(tmp_path):
    # numpy lets a TokenError of Python's tokenizer out.
    write(tmp_path, "d.npy", npy(GOOD).replace(b"(4, 3, 2)", b"(4, 3, 2 "))
    assert refusal(tmp_path).startswith("trace M/d: the trace cannot be read. Got: ")


def test_an_encrypted_member_is_refused(tmp_path):
    data = bytearray(npz(hotness=GOOD))
    data[data.index(b"PK\1\2") + 8] |= 1
    write(tmp_path, "d.npz", bytes(data))
    assert refusal(tmp_path) == unreadable(
        "RuntimeError: File 'hotness.npy' is encrypted, password required for extraction", "d.npz"
    )


@pytest.mark.parametrize(
    ("stored", "dtype"),
    [
        (np.full((3, 2, 4), 0.5), "float64"),
        (np.ones((3, 2, 4), np.float32), "float32"),
        (np.ones((3, 2, 4), bool), "bool"),
        (np.ones((3, 2, 4), complex), "complex128"),
        (np.full((3, 2, 4), "1"), "<U1"),
    ],
    ids=["float", "integral float", "bool", "complex", "text"],
)
def test_values_that_are_not_integers_are_refused(tmp_path, stored, dtype):
    write(tmp_path, "d.npy", npy(stored))
    assert refusal(tmp_path) == (
        f"trace M/d: the trace's values are not integers. Got: dtype {dtype}. "
        "Expected: an integer dtype, int32 preferred. Next: convert the trace from its token counts."
    )


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (3, 2, 4, 1), (0, 2, 4), (3, 0, 4), (3, 2, 0)])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_other_shapes_are_refused(tmp_path, shape, suffix):
    stored = np.ones(shape, np.int32)
    write(tmp_path, f"d{suffix}", npy(stored) if suffix == ".npy" else npz(hotness=stored))
    assert refusal(tmp_path) == (
        f"trace M/d: the trace has the wrong shape. Got: {list(shape)}. Expected: [iteration, layer, expert]. "
        "Next: convert the trace."
    )


@pytest.mark.parametrize(
    ("value", "dtype"), [(-1, np.int8), (-1, np.int64), (2**31, np.uint32), (2**31, np.int64), (2**63, np.uint64)]
)
@pytest.mark.parametrize("iteration", [0, BLOCK + 2])
def test_a_hotness_out_of_range_is_found(value, dtype, iteration):
    stored = np.ones((BLOCK + 4, 2, 4), dtype)
    stored[iteration:, 1, 3] = value
    with pytest.raises(OrganizerError) as caught:
        Trace(stored, "trace M/d")
    assert str(caught.value) == (
        f"trace M/d: a hotness is out of range. Got: {value} at iteration {iteration + 1}, layer 1, expert 3. "
        "Expected: 0 .. 2147483647. Next: record or convert the trace again."
    )


@pytest.mark.parametrize(("layers", "experts"), [(3, 4), (2, 8)])
def test_a_trace_of_another_model_is_refused(layers, experts):
    with pytest.raises(OrganizerError) as caught:
        check_fits(Trace(np.ones((9, 2, 4), np.int32)), "trace M/d", layers, experts, window=3)
    assert str(caught.value) == (
        f"trace M/d: the trace does not fit its model. Got: 2 layers, 4 experts. Expected: {layers} layers, "
        f"{experts} experts. Next: use the trace of this model, or correct the grid's models."
    )


def test_a_trace_shorter_than_window_plus_two_is_refused():
    with pytest.raises(OrganizerError) as caught:
        check_fits(Trace(np.ones((4, 2, 4), np.int32)), "trace M/d", 2, 4, window=3)
    assert str(caught.value) == (
        "trace M/d: the trace is too short for the window. Got: 4 iterations. Expected: at least window + 2 = 5. "
        "Next: use a longer trace or a smaller window."
    )


ENTRY = {"shape": [4, 3, 2], "sha256": trace_sha256(GOOD)}


@pytest.mark.parametrize(
    "manifest",
    [{}, {"traces": {}}, {"traces": {"M/other": ENTRY}}, {"traces": {"M/d": None}}, {"traces": []}, [], "text"],
)
def test_a_manifest_without_the_trace_is_refused(tmp_path, manifest):
    write(tmp_path, "d.npy", npy(GOOD))
    assert refusal(tmp_path, manifest) == (
        "trace M/d: the manifest does not list the trace. Got: no entry traces: M/d. "
        "Expected: an entry with shape and sha256. Next: add the trace to manifest.yaml."
    )


@pytest.mark.parametrize(
    ("change", "field", "got", "expected"),
    [
        ({"shape": [4, 2, 3]}, "shape", "[4, 3, 2]", "[4, 2, 3]"),
        ({"shape": None}, "shape", "[4, 3, 2]", "None"),
        ({"sha256": "0" * 64}, "sha256", ENTRY["sha256"], "0" * 64),
        ({"sha256": None}, "sha256", ENTRY["sha256"], "None"),
        ({"shape": [9, 9, 9], "sha256": "0" * 64}, "shape", "[4, 3, 2]", "[9, 9, 9]"),
    ],
)
def test_a_trace_other_than_the_manifests_is_refused(tmp_path, change, field, got, expected):
    write(tmp_path, "d.npy", npy(GOOD))
    assert refusal(tmp_path, {"traces": {"M/d": ENTRY | change}}) == (
        f"trace M/d: the trace's {field} is not the manifest's. Got: {got}. Expected: {expected}. "
        "Next: put the right trace there, or correct manifest.yaml."
    )


def test_an_entry_without_a_hash_is_refused(tmp_path):
    write(tmp_path, "d.npy", npy(GOOD))
    with pytest.raises(OrganizerError, match="sha256 is not the manifest's"):
        open_trace(tmp_path, "M", "d", {"traces": {"M/d": {"shape": [4, 3, 2]}}})
