"""kit.py convert, the files themselves: which are read and in which order, .pt and pickles."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kit
from placement.errors import OrganizerError
from traces.conversion.inputs import input_files

HOTNESS = np.random.default_rng(9).integers(1, 50, (5, 2, 4)).astype(np.int32)
PADDED = np.concatenate([HOTNESS, HOTNESS[:2] * 0])


def convert(folder: Path, *arguments: object) -> int:
    where = ["--output", str(folder / "out"), "--model", "M", "--dataset", "d", "--licence", "CC0-1.0"]
    return kit.main(["convert", "--from", "sglang", *map(str, arguments), *where])


def result(folder: Path) -> np.ndarray:
    return np.load(folder / "out" / "M" / "d.npy")


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


def test_torch_is_asked_for_when_it_is_absent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "dump.pt").write_bytes(b"")
    assert refusal(tmp_path, capsys, tmp_path / "dump.pt") == (
        "dump.pt: reading a .pt file needs torch. Got: no torch in this Python. Expected: torch 2 or later. Next: run"
        ' `pip install "torch>=2"`, or export the same keys as .npz or .json.'
    )


def test_a_dump_of_torch_is_read(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    dump = {"rank": 0, "logical_count": torch.from_numpy(PADDED), "average_utilization_rate_over_window": None}
    torch.save(dump, tmp_path / "dump.pt")
    assert convert(tmp_path, tmp_path / "dump.pt") == 0
    assert np.array_equal(result(tmp_path), HOTNESS)


def test_records_of_torch_are_read(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    mapping = torch.tensor([[0, 1, 2, 3, 3], [3, 2, 1, 0, 0]])
    for rank in range(2):
        counts = [torch.tensor([[1, 2, 3, 4, 5 + n], [1, 2, 3, 4, 5 + rank]], dtype=torch.int32) for n in range(3)]
        records = [
            {"forward_pass_id": n, "rank": rank, "gatherer_key": "primary", "global_physical_count": count}
            for n, count in enumerate(counts)
        ]
        dump = {"records": records, "last_physical_to_logical_map": mapping}
        torch.save(dump, tmp_path / f"expert_distribution_recorder_1.5_{rank}.pt")
    assert convert(tmp_path, *sorted(tmp_path.glob("*.pt"))) == 0
    assert result(tmp_path)[:, 0].tolist() == [[2, 4, 6, 8 + 2 * (5 + n)] for n in range(3)]
    assert result(tmp_path)[:, 1].tolist() == [[8 + 5 + 6, 6, 4, 2]] * 3


def test_objects_in_a_dump_of_torch_are_refused_unless_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    dump = {"logical_count": torch.from_numpy(PADDED), "extra": Trap(tmp_path / "ran")}
    torch.save(dump, tmp_path / "dump.pt")
    assert refusal(tmp_path, capsys, tmp_path / "dump.pt") == PICKLED.format("dump.pt")
    assert not (tmp_path / "ran").exists()
    assert convert(tmp_path, tmp_path / "dump.pt", "--allow-pickle") == 0
    assert (tmp_path / "ran").exists()
    assert np.array_equal(result(tmp_path), HOTNESS)


def test_a_damaged_dump_of_torch_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"logical_count": torch.from_numpy(PADDED)}, tmp_path / "dump.pt")
    (tmp_path / "dump.pt").write_bytes((tmp_path / "dump.pt").read_bytes()[:200])
    text = refusal(tmp_path, capsys, tmp_path / "dump.pt", "--allow-pickle")
    assert text.startswith("dump.pt: the file cannot be read. Got: ")
    assert text.endswith(" Expected: a complete .pt file. Next: copy it again.")


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
