"""The commands seal, verify and inspect of trace files."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import kit
import seal as seal_tool
from opened import open_sealed
from placement.trace import trace_sha256
from placement.traces.files import open_trace

ROOT = Path(__file__).resolve().parent.parent
KEY = bytes(range(60, 92))
SMALL = np.random.default_rng(1).integers(0, 50, (9, 2, 4)).astype(np.int32)
LARGE = np.random.default_rng(2).integers(0, 50, (5, 3, 8)).astype(np.int16)
CONTENT = {"Small/one": SMALL, "Large/two": LARGE}


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Plain traces with their manifest in `plain`, a key in keys/trace.key."""
    for folder in ("plain/Small", "plain/Large", "keys"):
        (tmp_path / folder).mkdir(parents=True)
    np.save(tmp_path / "plain" / "Small" / "one.npy", SMALL)
    np.savez_compressed(tmp_path / "plain" / "Large" / "two.npz", hotness=LARGE)
    entries = {
        name: {
            "file": "as it was",
            "shape": list(values.shape),
            "sha256": trace_sha256(values),
            "origin": f"recorded: {name}",
            "licence": "CC-BY-4.0",
        }
        for name, values in CONTENT.items()
    }
    write_manifest(tmp_path / "plain", entries)
    (tmp_path / "keys" / "trace.key").write_text(KEY.hex() + "\n", encoding="ascii")
    return tmp_path


def write_manifest(folder: Path, entries: dict[str, Any]) -> None:
    (folder / "manifest.yaml").write_text(yaml.safe_dump({"traces": entries}, sort_keys=False), encoding="utf-8")


def entries_of(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "manifest.yaml").read_text(encoding="utf-8"))["traces"]


def seal(
    world: Path,
    traces_folder: str = "plain",
    output: str = "sealed",
    renames: tuple[str, ...] = (),
    more: tuple[str, ...] = (),
) -> int:
    folders = ["--traces", str(world / traces_folder), "--output", str(world / output)]
    options = [text for rename in renames for text in ("--rename", rename)]
    return seal_tool.main([*folders, "--key", str(world / "keys" / "trace.key"), *options, *more])


def verify(world: Path, folder: str, capsys: pytest.CaptureFixture[str], key: bool = True) -> tuple[int, list[str]]:
    """The exit code and the lines, without what was printed before."""
    capsys.readouterr()
    arguments = ["--key", str(world / "keys" / "trace.key")] if key else []
    code = kit.main(["verify", "--traces", str(world / folder), *arguments])
    return code, capsys.readouterr().out.splitlines()


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# seal


def test_every_trace_of_the_manifest_is_sealed(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(world / "plain" / "Small" / "unlisted.npy", SMALL)
    assert seal(world) == 0
    assert files(world / "sealed") == ["Large/two.sealed", "Small/one.sealed", "manifest.yaml"]
    entries = entries_of(world / "sealed")
    assert list(entries) == ["Small/one", "Large/two"]
    for name, values in CONTENT.items():
        path = world / "sealed" / f"{name}.sealed"
        assert np.array_equal(open_sealed(path, KEY, name), values)
        assert entries[name] == {
            "file": f"{name}.sealed",
            "shape": list(values.shape),
            "sha256": trace_sha256(values),
            "sealed_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "origin": f"recorded: {name}",
            "licence": "CC-BY-4.0",
        }
        assert open_trace(world / "sealed", *name.split("/"), {"traces": entries}, KEY).sha256 == trace_sha256(values)
    said = "".join(capsys.readouterr())
    assert str(world / "sealed" / "Small" / "one.sealed") + ": sealed, [9, 2, 4], chunks: 1, " in said
    assert KEY.hex() not in said
    assert said.endswith(
        "note: Small/one: of hidden traces, bundle.py check takes the names trace-01, trace-02, ... alone, since\n"
        "logs show them: seal with --rename OLD=Small/trace-NN, each with a number of its own\n"
    )


def test_a_renamed_trace_tells_nothing_of_its_origin(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seal(world, renames=("Small/one=Small/trace-01",)) == 0
    entries = entries_of(world / "sealed")
    assert set(entries) == {"Small/trace-01", "Large/two"} and "origin" not in entries["Small/trace-01"]
    assert "one" not in (world / "sealed" / "manifest.yaml").read_text(encoding="utf-8")
    assert verify(world, "sealed", capsys)[0] == 0
    opened = open_sealed(world / "sealed" / "Small" / "trace-01.sealed", KEY, "Small/trace-01")
    assert np.array_equal(opened, SMALL)


@pytest.mark.parametrize(
    ("renames", "what"),
    [
        (("Small/three=Small/x",), "a trace cannot be renamed. Got: 'Small/three=Small/x'."),
        (("Small/one",), "a trace cannot be renamed. Got: 'Small/one'."),
        (("Small/one=../x",), "a trace cannot be renamed. Got: 'Small/one=../x'."),
        (("Small/one=Large/two",), "two traces would have the same name. Got: Large/two, Large/two."),
    ],
)
def test_a_wrong_rename_is_refused_before_anything_is_written(
    world: Path, renames: tuple[str, ...], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert seal(world, renames=renames) != 0
    assert what in "".join(capsys.readouterr()) and not (world / "sealed").exists()


def test_without_a_manifest_every_plain_trace_is_sealed(world: Path) -> None:
    (world / "plain" / "manifest.yaml").unlink()
    np.savez(world / "plain" / "Small" / "one.npz", LARGE)
    assert seal(world) == 0
    entries = entries_of(world / "sealed")
    assert entries.keys() == CONTENT.keys()
    assert list(entries["Small/one"]) == ["file", "shape", "sha256", "sealed_sha256"]
    assert entries["Small/one"]["sha256"] == trace_sha256(SMALL)


def test_other_entries_of_the_output_are_kept(world: Path) -> None:
    assert seal(world) == 0
    before = entries_of(world / "sealed")
    write_manifest(world / "plain", {"Small/one": entries_of(world / "plain")["Small/one"]})
    assert seal(world, more=("--replace",)) == 0
    after = entries_of(world / "sealed")
    assert after["Large/two"] == before["Large/two"]
    assert after["Small/one"]["sealed_sha256"] != before["Small/one"]["sealed_sha256"]


@pytest.mark.parametrize("present", ["Large/two.npy", "Large/two.npz"])
def test_nothing_is_sealed_beside_the_plain_file(world: Path, present: str, capsys: pytest.CaptureFixture[str]) -> None:
    (world / "sealed" / "Large").mkdir(parents=True)
    (world / "sealed" / present).write_bytes(b"")
    assert seal(world) == 2
    assert "trace Large/two: a plain trace lies where its sealed file would. Got: " in capsys.readouterr().err
    assert files(world / "sealed") == [present]
    assert seal(world, output="plain") == 2
    assert files(world / "plain") == ["Large/two.npz", "Small/one.npy", "manifest.yaml"]


def test_a_trace_other_than_the_manifests_is_not_sealed(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(world / "plain" / "Small" / "one.npy", SMALL + 1)
    assert seal(world) == 2
    error = capsys.readouterr().err
    assert error.startswith(
        "seal.py: error: trace Small/one: the trace's sha256 is not the manifest's. "
        f"Got: {trace_sha256(SMALL + 1)}. Expected: {trace_sha256(SMALL)}. Next: "
    )
    assert files(world / "sealed") == []


@pytest.mark.parametrize(
    "damage",
    ["cut .npz", "bad byte", "bad value", "more data", "less data", "float", "missing", "two arrays", "two axes"],
)
def test_a_trace_that_cannot_be_read_is_not_sealed(
    world: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # Without hashes, so that nothing but the file itself tells.
    write_manifest(world / "plain", {name: {} for name in CONTENT})
    path = world / "plain" / "Large" / "two.npz"
    data = bytearray(path.read_bytes())
    if damage == "cut .npz":
        path.write_bytes(data[:-30])
    elif damage == "bad byte":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif damage == "bad value":
        np.savez(path, LARGE)
        data = bytearray(path.read_bytes())
        data[data.index(LARGE[2].tobytes())] ^= 1
        path.write_bytes(data)
    elif damage in ("more data", "less data"):
        np.save(world / "array.npy", LARGE)
        array = (world / "array.npy").read_bytes()
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("hotness.npy", array + b"0" if damage == "more data" else array[:-1])
    elif damage == "float":
        np.savez(path, LARGE.astype(float))
    elif damage == "missing":
        path.unlink()
    elif damage == "two arrays":
        np.savez(path, LARGE, LARGE)
    else:
        np.savez(path, LARGE[0])
    assert seal(world) == 2
    assert capsys.readouterr().err.startswith("seal.py: error: trace Large/two: the trace")
    assert not (world / "sealed" / "Large" / "two.sealed").exists()
    assert not list(world.rglob("*.part"))


@pytest.mark.parametrize("name", ["../x/y", "x", "a/b/c", "/a/b", "a/..", 7])
def test_a_manifest_cannot_name_other_places(world: Path, name: object, capsys: pytest.CaptureFixture[str]) -> None:
    write_manifest(world / "plain", {name: {}})
    assert seal(world) == 2
    assert f"manifest.yaml: a trace has no plain name. Got: {name!r}. Expected: " in capsys.readouterr().err


def test_a_sealed_trace_is_not_sealed_again(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seal(world) == 0 and seal(world, "sealed", "again") == 2
    assert "trace Small/one: the trace is sealed already. Got: one.sealed." in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "z" * 64, KEY.hex()[:-1]])
@pytest.mark.parametrize("command", ["seal", "verify"])
def test_a_malformed_key_is_refused_kept_and_not_shown(
    world: Path, command: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = world / "keys" / "trace.key"
    path.write_text(text, encoding="ascii")
    code = seal(world) if command == "seal" else kit.main(["verify", "--traces", str(world), "--key", str(path)])
    program = {"seal": "seal.py", "verify": "kit.py verify"}[command]
    assert code == 2
    assert capsys.readouterr().err == (
        f"{program}: error: keys/trace.key has the wrong form. Got: {len(text)} bytes of another form. "
        "Expected: 64 hexadecimal characters. Next: name the key file that `python tools/bundle.py keys` made.\n"
    )
    assert path.read_text(encoding="ascii") == text and not (world / "sealed").exists()


def test_a_missing_key_is_named(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (world / "keys" / "trace.key").unlink()
    assert seal(world) == 2
    assert capsys.readouterr().err.startswith(
        "seal.py: error: keys/trace.key cannot be read. Got: FileNotFoundError: No such file or directory. "
    )


def test_the_key_stays_where_it_is(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seal(world) == 0 and verify(world, "sealed", capsys)[0] == 0
    assert (world / "keys" / "trace.key").read_text(encoding="ascii") == KEY.hex() + "\n"


def test_a_folder_without_traces_is_refused(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (world / "empty").mkdir()
    assert seal(world, "empty") == 2
    assert "traces: there is no trace. Got: none in " in capsys.readouterr().err
    assert kit.main(["verify", "--traces", str(world / "empty")]) == 2


# verify


def test_right_traces_are_ok(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(world, "plain", capsys) == (
        0,
        ["ok     Small/one: one.npy, [9, 2, 4]", "ok     Large/two: two.npz, [5, 3, 8]"],
    )
    assert seal(world) == 0
    assert verify(world, "sealed", capsys) == (
        0,
        [
            "ok     Small/one: one.sealed, [9, 2, 4], opened with the key",
            "ok     Large/two: two.sealed, [5, 3, 8], opened with the key",
        ],
    )


def test_without_a_key_the_sealed_files_hash_is_compared(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seal(world) == 0
    code, lines = verify(world, "sealed", capsys, key=False)
    assert code == 0
    assert lines[0] == "ok     Small/one: one.sealed, only the sealed file's hash, because no --key was given"


@pytest.mark.parametrize("key", [True, False])
def test_a_damaged_sealed_file_is_wrong(world: Path, key: bool, capsys: pytest.CaptureFixture[str]) -> None:
    assert seal(world) == 0
    path = world / "sealed" / "Small" / "one.sealed"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    code, lines = verify(world, "sealed", capsys, key)
    assert code == 1 and len(lines) == 2
    assert lines[0].startswith("wrong  trace Small/one: the sealed file's sha256 differs from the manifest's. Got: ")
    assert lines[1].startswith("ok     Large/two")


def test_a_plain_trace_that_the_manifest_lacks_is_named_and_not_sealed(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(world / "plain" / "Small" / "extra.npy", np.ones((9, 2, 4), np.int32))
    assert seal(world) == 0 and not (world / "sealed" / "Small" / "extra.sealed").exists()
    assert "note: manifest.yaml does not list Small/extra: not sealed" in capsys.readouterr().out.splitlines()


def test_a_sealed_trace_that_the_manifest_lacks_is_wrong(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seal(world) == 0
    entries = entries_of(world / "sealed")
    del entries["Small/one"]
    write_manifest(world / "sealed", entries)
    code, lines = verify(world, "sealed", capsys, key=False)
    assert code == 1 and "trace Small/one: the manifest does not list the sealed trace. Got: no entry" in lines[1]


def test_a_foreign_key_is_wrong(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seal(world) == 0
    (world / "keys" / "trace.key").write_text("1" * 64, encoding="ascii")
    code, lines = verify(world, "sealed", capsys)
    assert code == 1 and len(lines) == 2
    assert all(" the sealed trace cannot be opened. " in line for line in lines)
    assert not any("1" * 64 in line for line in lines)


@pytest.mark.parametrize("folder", ["plain", "sealed"])
@pytest.mark.parametrize(("field", "value"), [("sha256", "0" * 64), ("shape", [9, 4, 2])])
def test_a_trace_other_than_the_manifests_is_wrong(
    world: Path, folder: str, field: str, value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert seal(world) == 0
    entries = entries_of(world / folder)
    entries["Small/one"][field] = value
    write_manifest(world / folder, entries)
    code, lines = verify(world, folder, capsys)
    assert code == 1
    assert lines[0].startswith(f"wrong  trace Small/one: the trace's {field} is not the manifest's. Got: ")


def test_missing_and_unlisted_traces_are_wrong(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (world / "plain" / "Small" / "one.npy").rename(world / "plain" / "Small" / "new.npy")
    code, lines = verify(world, "plain", capsys, key=False)
    assert code == 1
    assert [line.partition(". Got")[0] for line in lines] == [
        "wrong  trace Small/one: the trace is missing",
        "ok     Large/two: two.npz, [5, 3, 8]",
        "wrong  trace Small/new: the manifest does not list the trace",
    ]


def test_the_samples_are_what_their_manifest_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert kit.main(["verify", "--traces", str(ROOT / "sample_traces")]) == 0
    assert [line[:6] for line in capsys.readouterr().out.splitlines()] == ["ok    "] * 2


# inspect


def test_inspect_tells_what_is_known_without_a_key(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seal(world) == 0
    capsys.readouterr()
    paths = [world / "plain" / "Small" / "one.npy", world / "plain" / "Large" / "two.npz"]
    paths.append(world / "sealed" / "Large" / "two.sealed")
    assert kit.main(["inspect", *map(str, paths)]) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    sizes = [path.stat().st_size for path in paths]
    assert first == f"{paths[0]}: plain .npy, [9, 2, 4], int32, {sizes[0]} bytes"
    assert second == f"{paths[1]}: plain .npz, [5, 3, 8], int16, {sizes[1]} bytes"
    assert third.startswith(
        f"{paths[2]}: sealed, format 1, [5, 3, 8], int32, chunks: 1 of 5 iterations, file id "
    ) and third.endswith(f", {sizes[2]} bytes")


def test_inspect_names_files_that_cannot_be_read_and_goes_on(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seal(world) == 0
    capsys.readouterr()
    cut, good = world / "sealed" / "Small" / "one.sealed", world / "plain" / "Small" / "one.npy"
    cut.write_bytes(cut.read_bytes()[:-1])
    text, missing = world / "keys" / "trace.key", world / "missing.npy"
    assert kit.main(["inspect", str(cut), str(text), str(missing), str(good)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{cut}: the sealed trace cannot be read. Got: ")
    assert lines[1].startswith(f"{text}: the trace cannot be read. Got: ") and KEY.hex()[:4] not in lines[1]
    assert lines[1].endswith(" Next: name a trace file: .npy, .npz, .sealed.")
    assert lines[2].startswith(f"{missing}: the trace cannot be read. Got: FileNotFoundError")
    assert lines[2].endswith(" Next: correct the path.")
    assert lines[3].startswith(f"{good}: plain .npy")


def test_the_organizers_command_shows_its_options() -> None:
    command = [sys.executable, str(ROOT / "tools" / "seal.py"), "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "--rename" in shown and "--key" in shown
