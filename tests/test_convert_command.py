"""kit.py convert, whatever the form: what is written, what is replaced, which options belong together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import kit
from conversions import result
from placement.trace import trace_sha256
from placement.traces.files import open_trace

ROOT = Path(__file__).resolve().parent.parent
HOTNESS = np.random.default_rng(8).integers(0, 50, (5, 2, 4)).astype(np.int32)
OTHER = HOTNESS + 1


def convert(folder: Path, *arguments: object, values: np.ndarray = HOTNESS, dataset: str = "d") -> int:
    np.save(folder / "counts.npy", values)
    where = ["--output", str(folder / "out"), "--model", "M", "--dataset", dataset, "--licence", "CC-BY-4.0"]
    inputs = [] if "--from" in arguments else ["--from", "npy", str(folder / "counts.npy")]
    return kit.main(["convert", *inputs, *map(str, arguments), *where])


def manifest(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "out" / "manifest.yaml").read_text(encoding="utf-8"))


def error(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.removeprefix("kit.py convert: error: ").removesuffix("\n")


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_stated_form_that_the_dump_does_not_have_is_corrected_by_what_the_dump_looks_like(tmp_path, capsys) -> None:
    np.savez(tmp_path / "recorded.npz", logical_count=HOTNESS)
    assert convert(tmp_path, "--from", "adrs", tmp_path / "recorded.npz") == 2
    looks = "; or correct --from: the dump looks like sglang, because recorded.npz has logical_count."
    assert error(capsys).endswith(looks)
    # A form that fits and is refused for another reason has its next step alone.
    assert convert(tmp_path, "--from", "sglang", tmp_path / "recorded.npz") == 2
    said = error(capsys)
    assert "ring buffer is full" in said and "looks like" not in said


def test_a_trace_is_written_with_its_manifest_entry(tmp_path: Path) -> None:
    assert convert(tmp_path, "--source", "DS-R1 on 32 devices") == 0
    assert files(tmp_path / "out") == ["M/d.npy", "manifest.yaml"]
    assert manifest(tmp_path)["traces"] == {
        "M/d": {
            "file": "M/d.npy",
            "shape": [5, 2, 4],
            "sha256": trace_sha256(HOTNESS),
            "origin": "recorded: DS-R1 on 32 devices; array [iteration, layer, expert], 1 file; kit.py convert",
            "licence": "CC-BY-4.0",
            "notes": [],
            "options": {"from": "npy"},
        }
    }
    opened = open_trace(tmp_path / "out", "M", "d", manifest(tmp_path))
    assert np.array_equal(opened.window(0, 5), np.maximum(HOTNESS, 1))


def test_the_inputs_name_is_the_source_unless_stated(tmp_path: Path) -> None:
    assert convert(tmp_path) == 0
    assert manifest(tmp_path)["traces"]["M/d"]["origin"].startswith("recorded: counts.npy; array ")


def test_other_entries_of_the_manifest_are_kept(tmp_path: Path) -> None:
    assert convert(tmp_path, dataset="first") == 0
    kept = manifest(tmp_path)["traces"]["M/first"]
    assert convert(tmp_path, values=OTHER) == 0
    assert list(manifest(tmp_path)["traces"]) == ["M/first", "M/d"]
    assert manifest(tmp_path)["traces"]["M/first"] == kept


def test_a_converted_trace_is_replaced_only_when_that_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(tmp_path) == 0
    assert convert(tmp_path, values=OTHER) == 2
    assert error(capsys) == (
        f"trace M/d: the trace was converted before. Got: {tmp_path}/out/M/d.npy. Expected: a new name. "
        "Next: give --replace, or choose another --dataset."
    )
    assert np.array_equal(result(tmp_path), HOTNESS)
    assert convert(tmp_path, "--replace", values=OTHER) == 0
    assert np.array_equal(result(tmp_path), OTHER)
    assert manifest(tmp_path)["traces"]["M/d"]["sha256"] == trace_sha256(OTHER)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"file": "M/d.npy", "origin": "generated: from seed 1"}, "generated"),
        ({"file": "M/d.npy", "origin": "recorded: by hand"}, "recorded otherwise"),
        ({"file": "M/d.sealed", "origin": "recorded: x; y; kit.py convert"}, "sealed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_trace_that_was_not_converted_is_never_replaced(
    entry: dict[str, str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    text = yaml.safe_dump({"traces": {"M/d": entry}})
    (tmp_path / "out" / "manifest.yaml").write_text(text, encoding="utf-8")
    assert convert(tmp_path, "--replace") == 2
    assert error(capsys) == (
        "trace M/d: a trace that was not converted is not replaced. "
        f"Got: {entry['file']} in {tmp_path}/out, origin {entry['origin']!r}. "
        "Expected: a plain trace that was converted. Next: choose another dataset's name."
    )
    assert files(tmp_path / "out") == ["manifest.yaml"]


@pytest.mark.parametrize("suffix", ["npy", "npz", "sealed"])
def test_a_file_that_no_manifest_lists_is_never_replaced(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out" / "M" / f"d.{suffix}"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"precious")
    assert convert(tmp_path, "--replace") == 2
    assert error(capsys) == (
        f"trace M/d: a file of this name may be a recording. Got: {path}, which is not in manifest.yaml. "
        "Expected: no file of this trace. Next: move it away."
    )
    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize("suffix", ["npz", "sealed"])
def test_a_second_file_of_a_trace_is_never_made(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(tmp_path) == 0
    path = tmp_path / "out" / "M" / f"d.{suffix}"
    path.write_bytes(b"precious")
    assert convert(tmp_path, "--replace") == 2
    assert error(capsys) == (
        f"trace M/d: the trace would have a second file. Got: {path}. Expected: no file but {path.with_name('d.npy')}. "
        "Next: move it away."
    )


def test_a_recording_that_is_too_short_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(tmp_path, values=HOTNESS[:2]) == 2
    assert error(capsys) == (
        "convert: the recording is too short. Got: 2 iterations. Expected: at least 3 iterations. Next: record more, "
        "or correct --from."
    )
    assert not (tmp_path / "out").exists()


def test_a_recording_without_tokens_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(tmp_path, "--drop-dense", values=HOTNESS * 0) == 2
    assert error(capsys) == (
        "convert: the recording holds no tokens. Got: zeros. Expected: a recording. Next: record again."
    )


def test_iterations_without_tokens_are_kept_with_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = OTHER.copy()
    values[1:3] = 0
    assert convert(tmp_path, values=values) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "note: 2 iterations without a token kept: a run takes every expert there as one token; --drop-empty leaves"
        " them out"
    ]


FOREIGN = [
    ("npy", ["--oldest", 0], "--oldest"),
    ("npy", ["--allow-pickle"], "--allow-pickle"),
    ("adrs", ["--drop-dense"], "--drop-dense"),
    ("sglang", ["--in-flight", 4], "--in-flight"),
    ("vllm", ["--axes", "iteration,layer,expert"], "--axes"),
]


@pytest.mark.parametrize(("form", "options", "named"), FOREIGN, ids=[f"{form} {name}" for form, _, name in FOREIGN])
def test_an_option_of_another_form_is_refused(
    form: str, options: list[object], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(tmp_path, "--from", form, "counts.npy", *options) == 2
    assert error(capsys) == (
        f"convert: {named} is not an option of --from {form}. Got: {named}. Expected: no such option. Next:"
        " leave the option out."
    )


WRONG_ARGUMENTS = [
    (["--dataset", "../d"], "argument --dataset: '../d' is not a plain name of letters, digits, '.', '_' and '-'"),
    (["--licence", " "], "argument --licence: the text is empty"),
    (["--in-flight", "0"], "argument --in-flight: 0 is less than 1"),
    (["--experts", "many"], "argument --experts: 'many' is not an integer"),
    (["--oldest", "1", "--as-is"], "argument --as-is: not allowed with argument --oldest"),
    (["--from", "other"], "argument --from: invalid choice: 'other'"),
]


@pytest.mark.parametrize(("arguments", "text"), WRONG_ARGUMENTS, ids=[" ".join(a) for a, _ in WRONG_ARGUMENTS])
def test_a_wrong_argument_is_refused(
    arguments: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needed = ["--from", "npy", "--output", str(tmp_path), "--model", "M", "--dataset", "d", "--licence", "CC0-1.0"]
    with pytest.raises(SystemExit):
        kit.main(["convert", "counts.npy", *needed, *arguments])
    assert text in capsys.readouterr().err


def test_a_licence_is_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--output", str(tmp_path), "--model", "M", "--dataset", "d"]
    with pytest.raises(SystemExit):
        kit.main(["convert", "counts.npy", "--from", "npy", *where])
    assert "the following arguments are required: --licence" in capsys.readouterr().err


def test_the_help_tells_what_unpickling_risks() -> None:
    command = [sys.executable, "starting_kit/kit.py", "convert", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    words = " ".join(done.stdout.split())
    assert "Such a file can run any code on this machine under your account when it is opened. Use this" in words
    assert "only for files that you made yourself or whose maker you trust" in words
