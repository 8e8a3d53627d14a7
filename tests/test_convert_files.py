"""kit.py convert, the files themselves: which are read and in which order, .pt and pickles."""

from __future__ import annotations

import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

import kit
from conversions import result
from placement.errors import OrganizerError
from torch_files import STORAGES, Call, View, save
from traces.conversion.inputs import input_files
from traces.conversion.torch_files import read_torch

HOTNESS = np.random.default_rng(9).integers(1, 50, (5, 2, 4)).astype(np.int32)
PADDED = np.concatenate([HOTNESS, HOTNESS[:2] * 0])


def convert(folder: Path, *arguments: object) -> int:
    where = ["--output", str(folder / "out"), "--model", "M", "--dataset", "d", "--licence", "CC0-1.0"]
    return kit.main(["convert", "--from", "sglang", *map(str, arguments), *where])


def refusal(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The error's text, after the command wrote nothing."""
    assert convert(folder, *arguments) == 2
    assert not (folder / "out").exists()
    return capsys.readouterr().err.removeprefix("kit.py convert: error: ").removesuffix("\n")


PICKLED = (
    "{}: the file holds pickled objects. Got: objects that only unpickling can make. Expected: arrays, numbers, texts"
    " and lists. Next: export arrays only; or, if you trust the file, give --allow-pickle: unpickling runs any code"
    " that its author put into it."
)


class Trap:
    """Runs code when it is unpickled: it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


# .pt


def test_a_dump_of_torch_is_read_without_torch(tmp_path: Path) -> None:
    dump = {"rank": 0, "logical_count": PADDED, "average_utilization_rate_over_window": None}
    save(tmp_path / "dump.pt", dump)
    with mock.patch.dict(sys.modules, {"torch": None}):
        assert convert(tmp_path, tmp_path / "dump.pt") == 0
    assert np.array_equal(result(tmp_path), HOTNESS)


def test_records_of_torch_are_read(tmp_path: Path) -> None:
    mapping = np.array([[0, 1, 2, 3, 3], [3, 2, 1, 0, 0]])
    for rank in range(2):
        counts = [np.array([[1, 2, 3, 4, 5 + n], [1, 2, 3, 4, 5 + rank]], np.int32) for n in range(3)]
        records = [
            {"forward_pass_id": n, "rank": rank, "gatherer_key": "primary", "global_physical_count": count}
            for n, count in enumerate(counts)
        ]
        dump = {"records": records, "last_physical_to_logical_map": mapping}
        save(tmp_path / f"expert_distribution_recorder_1.5_{rank}.pt", dump)
    assert convert(tmp_path, *sorted(tmp_path.glob("*.pt"))) == 0
    assert result(tmp_path)[:, 0].tolist() == [[2, 4, 6, 8 + 2 * (5 + n)] for n in range(3)]
    assert result(tmp_path)[:, 1].tolist() == [[8 + 5 + 6, 6, 4, 2]] * 3


@pytest.mark.parametrize("name", sorted(STORAGES))
def test_every_kind_of_storage_is_read(name: str, tmp_path: Path) -> None:
    values = np.array([[0, 1, 0], [1, 1, 0]], name)
    read = read_torch(save(tmp_path / "x.pt", [values]))[0]
    assert read.tolist() == values.tolist() and read.dtype.name == name


def test_views_are_read_as_their_strides_say(tmp_path: Path) -> None:
    storage = np.arange(12)
    views = [
        View(storage, 1, (2, 3), (6, 1)),
        View(storage, 0, (3, 2), (1, 3)),
        View(storage, 5, (2, 2), (0, 1)),
        View(storage, 11, (), ()),
        View(storage, 0, (0, 4), (4, 1)),
    ]
    first, turned, repeated, single, empty = read_torch(save(tmp_path / "x.pt", views))
    assert (first.tolist(), turned.tolist()) == ([[1, 2, 3], [7, 8, 9]], [[0, 3], [1, 4], [2, 5]])
    assert (repeated.tolist(), single.item(), empty.shape) == ([[5, 6], [5, 6]], 11, (0, 4))
    assert not first.flags.writeable


def test_a_file_of_a_machine_of_the_other_byte_order_is_read(tmp_path: Path) -> None:
    read = read_torch(save(tmp_path / "x.pt", {"a": np.array([1, 258])}, byteorder="big"))
    assert read["a"].tolist() == [1, 258]


def test_tensors_whose_dtype_stands_beside_the_bytes_are_read(tmp_path: Path) -> None:
    storage = View(np.array([1, 65535], np.uint16).view(np.uint8), 0, (4,), (1,), "Untyped")
    path = save(tmp_path / "x.pt", [storage])
    # As torch calls it for uint16: another function, with the dtype at the end.
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    text = members["archive/data.pkl"].replace(b"_rebuild_tensor_v2", b"_rebuild_tensor_v3")
    text = text.replace(b"ctorch\nUntypedStorage", b"ctorch.storage\nUntypedStorage").replace(
        b"K\x04\x85", b"K\x02\x85"
    )
    ordered = text.index(b"ccollections\nOrderedDict")
    end = text.index(b"t", text.index(b"R", ordered) + 1)
    members["archive/data.pkl"] = text[:end] + b"ctorch\nuint16\n" + text[end:]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    assert read_torch(path)[0].tolist() == [1, 65535]


REFUSED = {
    "bfloat16": (
        View(np.zeros(4, np.int16), 0, (4,), (1,), "BFloat16"),
        "a tensor of bfloat16: bfloat16 tensors hold whole numbers only to 256",
        "save the counts as they were counted, in int32 or int64",
    ),
    "sparse": (
        Call("torch._utils", "_rebuild_sparse_tensor", (1,)),
        "a sparse tensor",
        "save tensor.to_dense()",
    ),
    "complex": (
        View(np.zeros(4, np.int64), 0, (4,), (1,), "ComplexFloat"),
        "an object of torch.ComplexFloatStorage",
        "save tensors, numbers, texts, lists and mappings of them only",
    ),
    "negated": (
        View(np.zeros(4, np.int64), 0, (4,), (1,), extra=({"neg": True},)),
        "a tensor with neg",
        "save tensor.clone()",
    ),
    "larger than the file": (
        View(np.zeros(4, np.int64), 0, (10**6, 10**6, 4), (0, 0, 1)),
        "a tensor of sizes [1000000, 1000000, 4] that repeats 4 elements",
        "save tensor.contiguous()",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_plain_tensor_is_refused_by_name(case: str, tmp_path: Path) -> None:
    content, got, next_step = REFUSED[case]
    with pytest.raises(OrganizerError) as refused:
        read_torch(save(tmp_path / "dump.pt", {"logical_count": content}))
    assert str(refused.value) == (
        f"dump.pt: the file holds objects that this reader does not support. Got: {got}. Expected: tensors of integers "
        "or floats, numbers,"
        f" texts, lists and mappings. Next: {next_step}."
    )


def test_compressed_members_which_may_be_of_any_size_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "dump.pt", [np.arange(4)])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/1", bytes(1000))
    with pytest.raises(OrganizerError) as refused:
        read_torch(path)
    assert str(refused.value) == (
        "dump.pt: the file holds objects that this reader does not support. Got: compressed members. Expected: tensors "
        "of integers or floats,"
        " numbers, texts, lists and mappings. Next: save it with torch.save, which compresses nothing."
    )


def test_no_pickle_puts_something_in_the_place_of_a_function(tmp_path: Path) -> None:
    # BUILD with a pair sets the attributes of the second one.
    build = b"N}X\x04\x00\x00\x00callccollections\nOrderedDict\ns\x86b"
    with zipfile.ZipFile(tmp_path / "dump.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + build + b")R.")
    with pytest.raises(OrganizerError, match=r"the file cannot be read\. Got: AttributeError: "):
        read_torch(tmp_path / "dump.pt")


def test_code_in_a_dump_of_torch_is_never_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "dump.pt", {"logical_count": PADDED, "extra": Trap(tmp_path / "ran")})
    assert refusal(tmp_path, capsys, tmp_path / "dump.pt", "--allow-pickle") == (
        "dump.pt: the file holds objects that this reader does not support. Got: an object of __builtin__.getattr. "
        "Expected: tensors of integers"
        " or floats, numbers, texts, lists and mappings. Next: save tensors, numbers, texts, lists and mappings of them"
        " only."
    )
    assert not (tmp_path / "ran").exists()


OUTSIDE = {
    "beyond the storage": (View(np.arange(4), 0, (2, 2), (3, 1)), "a tensor reaches element 4 of 4 elements"),
    "an offset before it": (
        View(np.arange(4), -1, (2,), (1,)),
        "a tensor of sizes [2], strides [1], offset -1",
    ),
    "a stride backwards": (View(np.arange(4), 3, (2,), (-1,)), "a tensor of sizes [2], strides [-1], offset 3"),
    "sizes and strides of two lengths": (View(np.arange(4), 0, (2, 2), (1,)), "a tensor of sizes [2, 2], strides [1]"),
    "no dtype": (View(np.arange(4), 0, (2,), (1,), "Untyped"), "an object of torch.UntypedStorage"),
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_a_view_outside_its_storage_is_refused(case: str, tmp_path: Path) -> None:
    content, text = OUTSIDE[case]
    with pytest.raises(OrganizerError) as refused:
        read_torch(save(tmp_path / "dump.pt", [content]))
    assert text in str(refused.value)


def test_a_file_of_an_old_torch_is_refused_with_the_way_to_save_it_again(tmp_path: Path) -> None:
    (tmp_path / "dump.pt").write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2))
    with pytest.raises(OrganizerError) as refused:
        read_torch(tmp_path / "dump.pt")
    assert str(refused.value) == (
        "dump.pt: the file is not of the form that torch saves since 1.6. Got: no zip archive. Expected: a complete .pt"
        " file of torch.save, a zip archive with data.pkl. Next: copy the file again, or load it with the torch that "
        "wrote it"
        " and save it with torch >= 1.6."
    )


def test_a_damaged_dump_of_torch_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "dump.pt", {"logical_count": PADDED})
    path.write_bytes(path.read_bytes().replace(b"archive/data/0", b"archive/data/1"))
    with pytest.raises(OrganizerError) as refused:
        read_torch(path)
    assert str(refused.value).startswith("dump.pt: the file cannot be read. Got: KeyError: ")
    assert str(refused.value).endswith(" Expected: a complete .pt file. Next: copy the file again.")


def test_a_file_without_checksums_is_refused_with_the_option_that_writes_them(tmp_path: Path) -> None:
    path = save(tmp_path / "dump.pt", [np.array([258])])
    path.write_bytes(path.read_bytes().replace(np.array([258]).tobytes(), np.array([259]).tobytes()))
    with pytest.raises(OrganizerError) as refused:
        read_torch(path)
    assert str(refused.value) == (
        "dump.pt: the file cannot be read. Got: BadZipFile: Bad CRC-32 for file 'archive/data/0'. Expected: a complete"
        " .pt file. Next: copy the file again, or save it again after torch.serialization.set_crc32_options(True)."
    )


# pickles in .npz


def test_records_in_an_npz_of_objects_are_read_only_when_that_is_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = np.array(
        [{"forward_pass_id": n, "rank": 0, "global_physical_count": HOTNESS[n]} for n in range(5)], object
    )
    np.savez(tmp_path / "dump.npz", records=records, last_physical_to_logical_map=np.tile(np.arange(4), (2, 1)))
    assert refusal(tmp_path, capsys, tmp_path / "dump.npz") == PICKLED.format("dump.npz")
    assert convert(tmp_path, tmp_path / "dump.npz", "--allow-pickle") == 0
    assert np.array_equal(result(tmp_path), HOTNESS)


def test_a_bare_pickle_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dump.npz").write_bytes(pickle.dumps(Trap(tmp_path / "ran")))
    text = refusal(tmp_path, capsys, tmp_path / "dump.npz")
    assert text.startswith("dump.npz: the file cannot be read. Got: ValueError: ")
    assert not (tmp_path / "ran").exists()


# which files


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_a_folders_files_are_in_natural_order(tmp_path: Path) -> None:
    make(tmp_path, "in/r_10.npz", "in/r_9.npz", "in/r_10.5.npz", "in/r_10.25.npz", "in/notes.txt", "in/a.npz")
    found = input_files([tmp_path / "in"], (".npz",))
    assert [path.name for path in found] == ["a.npz", "r_9.npz", "r_10.npz", "r_10.25.npz", "r_10.5.npz"]


def test_files_that_are_named_keep_their_order(tmp_path: Path) -> None:
    make(tmp_path, "b.npz", "a.npz")
    assert input_files([tmp_path / "b.npz", tmp_path / "a.npz"], (".npz",)) == [tmp_path / "b.npz", tmp_path / "a.npz"]


WRONG_INPUTS = {
    "missing": (
        ["absent.npz"],
        "input: there is no file {0}/absent.npz. Got: nothing. Expected: a file or a folder of them."
        " Next: correct the path.",
    ),
    "another suffix": (
        ["in/notes.txt"],
        "input: the file's form is not read. Got: notes.txt. Expected: .npz, .json for this --from. Next: choose"
        " another --from, or export again.",
    ),
    "a folder without any": (
        ["empty"],
        "input: there is nothing to convert in {0}/empty. Got: no such file. Expected: files of the form .npz, .json."
        " Next: correct the path.",
    ),
    "two forms of one": (
        ["in"],
        "input: a dump is there twice. Got: a.json and a.npz. Expected: each dump once."
        " Next: leave one of the two out.",
    ),
    "named twice": (
        ["in/a.npz", "in/../in/a.npz"],
        "input: a dump is there twice. Got: a.npz and a.npz. Expected: each dump once. Next: leave one of the two out.",
    ),
}


@pytest.mark.parametrize("case", WRONG_INPUTS)
def test_inputs_that_cannot_be_meant_are_refused(case: str, tmp_path: Path) -> None:
    make(tmp_path, "in/a.npz", "in/a.json", "in/notes.txt", "empty/notes.txt")
    names, text = WRONG_INPUTS[case]
    with pytest.raises(OrganizerError) as refused:
        input_files([tmp_path / name for name in names], (".npz", ".json"))
    assert str(refused.value) == text.format(tmp_path)


def test_one_file_is_enough_for_forms_that_are_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, "in/a.npy", "in/b.npy")
    where = ["--output", str(tmp_path / "out"), "--model", "M", "--dataset", "d", "--licence", "CC0-1.0"]
    assert kit.main(["convert", "--from", "npy", str(tmp_path / "in"), *where]) == 2
    assert capsys.readouterr().err == (
        "kit.py convert: error: input: only one file can be converted. Got: 2 files, a.npy the first. Expected: one"
        " file for this --from. Next: convert them one by one.\n"
    )
