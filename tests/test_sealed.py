"""Sealed traces: what was sealed comes back, and nothing else ever does."""

from __future__ import annotations

import gc
import hashlib
import hmac
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

import sealing
from cases import Answers, make_case, redeploy
from opened import open_sealed
from placement.errors import OrganizerError
from placement.replay import replay
from placement.trace import Trace, trace_sha256
from placement.traces import sealed
from placement.traces.files import find_trace, open_trace
from placement.traces.sealed import MAGIC, NONCE_BYTES, TAG_BYTES, Header, read_sealed_header
from sealing import seal_trace
from traces.plain_trace import PlainTrace

KEY = bytes(range(100, 132))
NAME = "M/d"
HOTNESS = np.random.default_rng(1).integers(0, 100, (7, 2, 3)).astype(np.int32)
ITERATION = 4 * 2 * 3
STORED = {
    "int8": HOTNESS.astype(np.int8),
    "int16": HOTNESS.astype(np.int16),
    "int32": HOTNESS,
    "int64": HOTNESS.astype(np.int64),
    "uint8": HOTNESS.astype(np.uint8),
    "uint16": HOTNESS.astype(np.uint16),
    "uint32": HOTNESS.astype(np.uint32),
    "uint64": HOTNESS.astype(np.uint64),
    "big-endian": HOTNESS.astype(">i4"),
    "Fortran order": np.asfortranarray(HOTNESS),
}
DAMAGED = "trace M/d: the sealed trace cannot be read. Got: "
FOREIGN = (
    "trace M/d: the sealed trace cannot be opened. Got: a file, a name and a key that do not belong together. "
    "Expected: the file as it was sealed, under the name and with the key it was sealed with. "
    "Next: use its key; if this is its key, copy the file and its manifest again, under their own names."
)


def store(folder: Path, stored: np.ndarray, suffix: str = ".npy") -> Path:
    """Write a plain trace plain/M/d and return its path."""
    path = folder / "plain" / "M" / f"d{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix == ".npy":
        np.save(path, stored)
    else:
        np.savez_compressed(path, hotness=stored)
    return path


def seal(
    folder: Path, stored: np.ndarray = HOTNESS, suffix: str = ".npy", chunk_iterations: int = 2, key: bytes = KEY
) -> Path:
    """Seal a trace as M/d, with some iterations per chunk, and return the sealed file's path."""
    path = folder / "M" / "d.sealed"
    source = PlainTrace(store(folder, stored, suffix), "trace M/d")
    size = chunk_iterations * 4 * int(np.prod(stored.shape[1:]))
    with patch.object(sealing, "CHUNK_BYTES", size):
        _, sha256 = seal_trace(source, path, key, NAME)
    assert sha256 == trace_sha256(stored)
    return path


def parts(path: Path) -> tuple[bytes, list[bytes]]:
    """A sealed file's header and chunks."""
    data = path.read_bytes()
    with open(path, "rb") as file:
        header = read_sealed_header(file)
    chunks, first = [], len(header.encode())
    for chunk in range(header.chunks):
        iterations = min(header.chunk_iterations, header.shape[0] - chunk * header.chunk_iterations)
        size = NONCE_BYTES + iterations * header.iteration_bytes + TAG_BYTES
        chunks.append(data[first : first + size])
        first += size
    assert first == len(data)
    return header.encode(), chunks


def refusal(path: Path, key: bytes = KEY, name: str = NAME) -> str:
    """The text of the error that opening raises."""
    with pytest.raises(OrganizerError) as caught:
        open_sealed(path, key, name)
    return str(caught.value)


# What comes back


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("storage", STORED)
def test_what_was_sealed_comes_back(tmp_path: Path, storage: str, suffix: str) -> None:
    opened = open_sealed(seal(tmp_path, STORED[storage], suffix), KEY, NAME)
    assert opened.dtype == np.dtype(np.int32) and opened.flags.c_contiguous and opened.flags.writeable
    assert np.array_equal(opened, HOTNESS)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize(("iterations", "chunk_iterations"), [*itertools.product([1, 2, 6, 7], [1, 2, 3, 6, 7, 100])])
def test_the_chunks_do_not_matter(tmp_path: Path, iterations: int, chunk_iterations: int, suffix: str) -> None:
    path = seal(tmp_path, HOTNESS[:iterations], suffix, chunk_iterations)
    assert len(parts(path)[1]) == -(-iterations // min(iterations, chunk_iterations))
    assert np.array_equal(open_sealed(path, KEY, NAME), HOTNESS[:iterations])


def test_an_iteration_larger_than_a_chunk_should_be_is_a_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "CHUNK_BYTES", 1)
    source = PlainTrace(store(tmp_path, HOTNESS), "trace M/d")
    header, _ = seal_trace(source, tmp_path / "d.sealed", KEY, NAME)
    assert header.chunks == 7 and np.array_equal(open_sealed(tmp_path / "d.sealed", KEY, NAME), HOTNESS)


def test_extreme_values_come_back_as_stored(tmp_path: Path) -> None:
    values = np.array([[[0, 2**31 - 1]]], np.int64)
    assert open_sealed(seal(tmp_path, values), KEY, NAME).tolist() == values.tolist()


def test_a_sealed_trace_is_the_plain_one_to_a_run(tmp_path: Path) -> None:
    hotness = np.random.default_rng(2).integers(0, 9, (140, 2, 4))
    seal(tmp_path, hotness, chunk_iterations=3)
    manifest = {"traces": {NAME: {"shape": [140, 2, 4], "sha256": trace_sha256(hotness)}}}
    plain = open_trace(tmp_path / "plain", "M", "d", manifest)
    opened = open_trace(tmp_path, "M", "d", manifest, KEY)
    assert opened.sha256 == plain.sha256
    assert np.array_equal(opened.expert_major, plain.expert_major) and np.array_equal(opened.totals, plain.totals)
    assert np.array_equal(opened.window(5, 90), plain.window(5, 90))

    def measured(trace: Trace) -> tuple[object, ...]:
        table = [[[0, 1, 2], [0, 1, 3]], [[1, 0, 1], [2, 3, 3]]]
        answers = Answers(*[redeploy([1, 0], table), None] * 30)
        run = replay(trace, make_case(), answers)
        return run.par.tolist(), run.calls, run.transmit().tolist(), run.transmit_amount, answers.seen

    assert measured(opened) == measured(plain)


def test_a_sealed_trace_is_compared_with_its_manifest(tmp_path: Path) -> None:
    seal(tmp_path)
    manifest = {"traces": {NAME: {"shape": [7, 2, 3], "sha256": "0" * 64}}}
    with pytest.raises(OrganizerError, match="sha256 is not the manifest's"):
        open_trace(tmp_path, "M", "d", manifest, KEY)


def test_plain_files_are_preferred(tmp_path: Path) -> None:
    path = seal(tmp_path)
    assert find_trace(tmp_path, "M", "d") == path
    np.savez(path.with_suffix(".npz"), HOTNESS)
    assert find_trace(tmp_path, "M", "d").suffix == ".npz"


def test_a_sealed_value_out_of_range_is_refused(tmp_path: Path) -> None:
    values = HOTNESS.copy()
    values[5, 1, 2] = -1
    with pytest.raises(OrganizerError, match=r"a hotness is out of range\. Got: -1 at iteration 6, layer 1, expert 2"):
        seal(tmp_path, values)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["d.npy"]


# What is refused


def test_a_sealed_trace_without_a_key_is_refused(tmp_path: Path) -> None:
    seal(tmp_path)
    with pytest.raises(OrganizerError) as caught:
        open_trace(tmp_path, "M", "d", None)
    assert str(caught.value) == (
        "trace M/d: the trace is sealed. Got: no key. Expected: the key that it was sealed with. "
        "Next: give the key with --key, run a bundle that was built with it, or use the plain trace."
    )


def test_every_single_bit_counts(tmp_path: Path) -> None:
    path = seal(tmp_path, HOTNESS[:3, :1], chunk_iterations=2)
    header, chunks = parts(path)
    data = path.read_bytes()
    assert len(chunks) == 2
    for position, bit in itertools.product(range(len(data)), range(8)):
        changed = bytearray(data)
        changed[position] ^= 1 << bit
        path.write_bytes(changed)
        text = refusal(path)
        assert text == FOREIGN or (position < len(header) and text.startswith(DAMAGED)), (position, bit)
    path.write_bytes(data)
    assert np.array_equal(open_sealed(path, KEY, NAME), HOTNESS[:3, :1])


def test_a_file_cut_off_anywhere_or_with_more_is_refused(tmp_path: Path) -> None:
    path = seal(tmp_path)
    data = path.read_bytes()
    header, chunks = parts(path)
    for length in range(len(data)):
        path.write_bytes(data[:length])
        assert refusal(path).startswith(DAMAGED), length
    for extra in (b"\0", chunks[0], chunks[-1], header, data):
        path.write_bytes(data + extra)
        assert refusal(path).startswith(DAMAGED)


def test_chunks_stay_where_they_are(tmp_path: Path) -> None:
    path = seal(tmp_path)
    header, chunks = parts(path)
    for order in itertools.product(range(len(chunks)), repeat=len(chunks)):
        path.write_bytes(header + b"".join(chunks[chunk] for chunk in order))
        if order == (0, 1, 2, 3):
            assert np.array_equal(open_sealed(path, KEY, NAME), HOTNESS)
        else:
            assert refusal(path).startswith((FOREIGN, DAMAGED)), order
    for missing in range(len(chunks)):
        path.write_bytes(header + b"".join(chunks[:missing] + chunks[missing + 1 :]))
        assert refusal(path).startswith(DAMAGED)


def test_a_shorter_trace_cannot_be_cut_out_of_a_file(tmp_path: Path) -> None:
    path = seal(tmp_path)
    header, chunks = parts(path)
    content = json.loads(header[len(MAGIC) :])
    for kept in (1, 2, 3):
        shorter = Header((2 * kept, 2, 3), 2, content["file_id"])
        path.write_bytes(shorter.encode() + b"".join(chunks[:kept]))
        assert refusal(path) == FOREIGN


def test_another_shape_of_the_same_values_is_refused(tmp_path: Path) -> None:
    path = seal(tmp_path)
    header, chunks = parts(path)
    file_id = json.loads(header[len(MAGIC) :])["file_id"]
    for layers, experts in ((3, 2), (1, 6), (6, 1)):
        path.write_bytes(Header((7, layers, experts), 2, file_id).encode() + b"".join(chunks))
        assert refusal(path) == FOREIGN


def test_chunks_of_another_file_with_the_same_key_are_refused(tmp_path: Path) -> None:
    header, chunks = parts(seal(tmp_path))
    path = seal(tmp_path)
    other_header, others = parts(path)
    for taken in range(len(chunks)):
        path.write_bytes(other_header + b"".join([*others[:taken], chunks[taken], *others[taken + 1 :]]))
        assert refusal(path) == FOREIGN
    path.write_bytes(header + b"".join(others))
    assert refusal(path) == FOREIGN


def test_sealing_twice_repeats_nothing(tmp_path: Path) -> None:
    header, chunks = parts(seal(tmp_path, np.zeros_like(HOTNESS)))
    other_header, others = parts(seal(tmp_path, np.zeros_like(HOTNESS)))
    assert header != other_header
    nonces = {chunk[:NONCE_BYTES] for chunk in chunks + others}
    ciphertexts = {chunk[NONCE_BYTES : NONCE_BYTES + ITERATION] for chunk in chunks + others}
    assert len(nonces) == len(ciphertexts) == 8


def test_the_file_is_what_the_format_describes(tmp_path: Path) -> None:
    from Crypto.Cipher import AES

    header, chunks = parts(seal(tmp_path))
    content = json.loads(header[len(MAGIC) :])
    assert list(content) == ["shape", "dtype", "chunk_iterations", "chunks", "file_id"]
    file_id = bytes.fromhex(content["file_id"])
    key = hmac.new(KEY, b"expert-placement sealed trace\n" + file_id, hashlib.sha256).digest()
    plain = b""
    for number, chunk in enumerate(chunks):
        aes = AES.new(key, AES.MODE_GCM, nonce=chunk[:12])
        aes.update(header + b'"M/d"\n%d\n' % number)
        plain += aes.decrypt_and_verify(chunk[12:-16], chunk[-16:])
    assert plain == HOTNESS.astype("<i4").tobytes()


@pytest.mark.parametrize("key", [bytes(32), KEY[::-1], KEY[:-1] + b"\0"])
def test_a_foreign_key_is_refused(tmp_path: Path, key: bytes) -> None:
    text = refusal(seal(tmp_path), key)
    assert text == FOREIGN and key.hex() not in text and KEY.hex() not in text


@pytest.mark.parametrize("name", ["M/other", "Other/d", "M/d ", "M/D", "", 'M/d"\n0'])
def test_a_file_under_another_name_is_refused(tmp_path: Path, name: str) -> None:
    assert refusal(seal(tmp_path), name=name) == FOREIGN.replace("M/d", name)


@pytest.mark.parametrize(("model", "dataset"), [("Other", "d"), ("M", "other")])
def test_a_renamed_file_is_refused(tmp_path: Path, model: str, dataset: str) -> None:
    path = tmp_path / model / f"{dataset}.sealed"
    path.parent.mkdir(exist_ok=True)
    seal(tmp_path).rename(path)
    with pytest.raises(OrganizerError, match="the sealed trace cannot be opened"):
        open_trace(tmp_path, model, dataset, None, KEY)


def header_line(**changes: object) -> bytes:
    """A header with some values replaced; None leaves a key out."""
    content = json.loads(Header((7, 2, 3), 2, "0" * 32).encode()[len(MAGIC) :]) | changes
    return MAGIC + json.dumps({key: value for key, value in content.items() if value is not None}).encode() + b"\n"


HUGE = 10**18
HEADERS = {
    "nothing": b"",
    "magic only": MAGIC,
    "no line end": MAGIC + b"{" * 1000,
    "deep": MAGIC + b"[" * 500 + b"\n",
    "long numbers": MAGIC + b'{"shape": [' + b"9" * 480 + b"]}\n",
    "not UTF-8": MAGIC + b"\xff\xfe\n",
    "a list": MAGIC + b"[1, 2]\n",
    "null": MAGIC + b"null\n",
    "other version": header_line().replace(b"format 1", b"format 2"),
    "a .npy file": b"\x93NUMPY\x01\x00" + bytes(200),
    "many iterations": header_line(shape=[HUGE, 2, 3], chunks=HUGE // 2),
    "many layers": header_line(shape=[7, HUGE, 3]),
    "many experts": header_line(shape=[7, 2, 2**62]),
    "all huge": header_line(shape=[HUGE, HUGE, HUGE], chunk_iterations=HUGE, chunks=1),
    "large iterations": header_line(shape=[1, 2**23, 1], chunk_iterations=1, chunks=1),
    "zero iterations": header_line(shape=[0, 2, 3], chunks=0),
    "negative": header_line(shape=[-7, -2, 3]),
    "no experts": header_line(shape=[7, 2, 0]),
    "two axes": header_line(shape=[7, 6]),
    "four axes": header_line(shape=[7, 2, 3, 1]),
    "no shape": header_line(shape=None),
    "text": header_line(shape="723"),
    "floats": header_line(shape=[7.0, 2, 3]),
    "infinity": header_line(shape=[float("inf"), 2, 3]),
    "booleans": header_line(shape=[7, True, 3]),
    "chunks of nothing": header_line(chunk_iterations=0),
    "chunks of less": header_line(chunk_iterations=-1),
    "chunks of more": header_line(chunk_iterations=8, chunks=1),
    "chunks of text": header_line(chunk_iterations="2"),
    "other chunk count": header_line(chunks=5),
    "no chunk count": header_line(chunks=None),
    "other dtype": header_line(dtype=">i4"),
    "short id": header_line(file_id="0" * 31),
    "upper case id": header_line(file_id="A" * 32),
    "id of another type": header_line(file_id=[0]),
    "another key": header_line(more=1),
    "spaces": header_line().replace(b", ", b",  "),
}


@pytest.mark.parametrize("case", HEADERS)
def test_an_absurd_header_is_refused_before_anything_is_allocated(
    tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = seal(tmp_path)
    _, chunks = parts(path)
    monkeypatch.setattr(np, "empty", None)
    path.write_bytes(HEADERS[case] + b"".join(chunks))
    assert refusal(path).startswith(DAMAGED)
    assert np.empty is None


def test_the_header_of_the_largest_trace_fits(tmp_path: Path) -> None:
    assert len(Header((2**62, 2**62, 2**62), 2**62, "f" * 32).encode()) < sealed.LONGEST_HEADER


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "d.sealed") == (
        f"{DAMAGED}FileNotFoundError: [Errno 2] No such file or directory: '{tmp_path / 'd.sealed'}'. "
        "Expected: a complete .sealed file of format 1. Next: copy d.sealed again and compare it with its manifest."
    )


# The library


@pytest.mark.parametrize("module", ["Crypto", "Crypto.Cipher.AES"])
def test_without_the_library_the_organizer_is_told(
    tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = seal(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == "Crypto"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    text = refusal(path)
    assert text.startswith("sealed traces: the library for sealed traces is missing. Got: ModuleNotFoundError")
    assert text.endswith(
        "Expected: pycryptodome, installed or in the ingestion program's folder vendor. "
        "Next: pip install 'pycryptodome>=3.20,<4' (the extra `seal`), or build the bundle, which carries it."
    )


OPEN_WITHOUT_PACKAGES = """
import sys
numpy_from = [path for path in sys.path if not path.endswith("site-packages")]
import numpy
sys.path[:] = [sys.argv[1], sys.argv[2], *numpy_from]
from pathlib import Path
from placement.traces import sealed
assert "Crypto" not in sys.modules
try:
    file = sealed.SealedFile(Path(sys.argv[3]), bytes(range(100, 132)), "M/d")
    print(file.read(0, numpy.empty(file.shape, numpy.int32)).sum())
    print(sys.modules["Crypto"].__file__)
except sealed.OrganizerError as error:
    print(error.what)
"""


def test_the_library_is_taken_from_the_vendor_folder(tmp_path: Path) -> None:
    import Crypto

    path, vendor = seal(tmp_path), tmp_path / "vendor"

    def opened() -> list[str]:
        ingestion = Path(sealed.__file__).parents[2]
        # The path as the built bundle's ingestion.py has it.
        command = [sys.executable, "-c", OPEN_WITHOUT_PACKAGES, str(ingestion), str(vendor), str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    assert opened() == ["the library for sealed traces is missing"]
    vendor.mkdir()
    (vendor / "Crypto").symlink_to(Path(Crypto.__file__).parent)
    assert opened() == [str(HOTNESS.sum()), str(vendor / "Crypto" / "__init__.py")]


def test_the_library_is_imported_only_to_open_a_sealed_trace(tmp_path: Path) -> None:
    program = "import sys, placement.traces.files, placement.evaluation.grid_run; print('Crypto' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(Path(sealed.__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# What is left behind


def test_nothing_plain_is_left_on_disk_and_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("TMPDIR", "TMP", "TEMP", "HOME")
    (tmp_path / "elsewhere").mkdir()
    for name in names:
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    written: list[bytes] = []
    source = store(tmp_path, HOTNESS, ".npz")
    real_open = open

    def watched(file: object, mode: str = "r", *arguments: object, **options: object) -> object:
        if set(mode) & set("wax+"):
            written.append(os.fsencode(file))
        return real_open(file, mode, *arguments, **options)

    monkeypatch.setattr("builtins.open", watched)
    path = tmp_path / "out" / "M" / "d.sealed"
    monkeypatch.setattr(sealing, "CHUNK_BYTES", 2 * ITERATION)
    seal_trace(PlainTrace(source, "trace M/d"), path, KEY, NAME)
    assert written == [os.fsencode(path.with_name(".d.sealed.part"))]
    assert np.array_equal(open_sealed(path, KEY, NAME), HOTNESS)
    assert len(written) == 1
    files = {file for file in tmp_path.rglob("*") if file.is_file()} - {source}
    assert files == {path}
    data = path.read_bytes()
    for secret in (KEY, KEY.hex().encode(), *(HOTNESS[first].tobytes()[:8] for first in range(7))):
        assert secret not in data


def test_opening_keeps_no_key(tmp_path: Path) -> None:
    path, key = seal(tmp_path), bytes(bytearray(KEY))
    before = sys.getrefcount(key)
    open_sealed(path, key, NAME)
    gc.collect()
    assert sys.getrefcount(key) == before


def test_failing_to_seal_keeps_the_old_file(tmp_path: Path) -> None:
    path = seal(tmp_path)
    before = path.read_bytes()
    source = PlainTrace(store(tmp_path, HOTNESS), "trace M/d")
    with pytest.raises(OrganizerError, match="sha256 is not the manifest's"):
        seal_trace(source, path, KEY, NAME, sha256="0" * 64)
    assert path.read_bytes() == before and [file.name for file in path.parent.iterdir()] == ["d.sealed"]


def test_too_large_an_iteration_is_not_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "LARGEST_CHUNK", ITERATION - 1)
    with pytest.raises(OrganizerError, match=r"the trace cannot be sealed\. Got: a chunk is larger than 23 bytes"):
        seal(tmp_path)


MEASURE = """
import sys
from pathlib import Path
import numpy as np
from placement.traces.held import decrypted
from placement.traces.sealed import SealedFile, _library
from traces.plain_trace import PlainTrace
from sealing import seal_trace

def kilobytes(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))

folder, step, key = Path(sys.argv[1]), sys.argv[2], bytes(32)
_library()
if step == "open":
    before = kilobytes("VmRSS")
    values = decrypted(SealedFile(folder / "d.sealed", key, "M/d"))
    size = sum(piece.nbytes for piece in values.pieces(len))
    print((kilobytes("VmHWM") - before) * 1024 / size)
else:
    source = PlainTrace(folder / step, "trace")
    before = kilobytes("RssAnon")
    peak = 0
    blocks = source.blocks
    def watched(size):
        global peak
        for block in blocks(size):
            peak = max(peak, kilobytes("RssAnon"))
            yield block
    source.blocks = watched
    seal_trace(source, folder / "d.sealed", key, "M/d")
    print((peak - before) * 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_bounded(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 2**31, (850, 58, 256), np.int32)
    np.save(tmp_path / "d.npy", values)
    np.savez(tmp_path / "d.npz", hotness=values)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}

    def measured(step: str) -> float:
        command = [sys.executable, "-c", MEASURE, str(tmp_path), step]
        return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)

    # A mapped file's pages are the system's to reclaim; what sealing allocates itself is a few chunks.
    assert measured("d.npz") < 20e6
    assert measured("d.npy") < 20e6
    assert 1.0 <= measured("open") < 1.1
