"""`kit.py generate`: what it writes and lists, what it never replaces, and the sample traces that it wrote."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import kit
from commands import generate as command
from placement.trace import trace_sha256
from traces.generation.generator import generate
from traces.generation.profile import Parameters, Profile, read_profile, write_profile

SAMPLE_FOLDER = Path(__file__).resolve().parents[1] / "sample_traces"
TINY = Profile("M", "d", 2, 16, 40, "drawn by hand", Parameters(top_k=2))
OTHER = Profile("N", "e", 3, 8, 24, "drawn by hand", Parameters(top_k=4, dispersion=0.0))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Profiles M/d and N/e, as if they shipped, in `profiles`, and one of them as the sample."""
    for profile in (TINY, OTHER):
        write_profile(tmp_path / "profiles" / f"{profile.name}.yaml", profile)
    monkeypatch.setattr(command, "FOLDER", tmp_path / "profiles")
    monkeypatch.setattr(command, "SAMPLES", ("M/d", "N/e"))
    return tmp_path


def run(folder: Path, *arguments: object) -> int:
    return kit.main(["generate", "--output", str(folder / "out"), *map(str, arguments)])


def error(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.removeprefix("kit.py generate: error: ").removesuffix("\n")


def entries_of(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "manifest.yaml").read_text(encoding="utf-8"))["traces"]


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(("name", "seed"), list(zip(command.SAMPLES, (1, 2), strict=True)))
def test_samples_are_what_the_manifest_says_and_the_generator_draws(name: str, seed: int) -> None:
    profile = command.find_profile(name)
    entry = entries_of(SAMPLE_FOLDER)[f"{profile.model}/{command.SAMPLE_DATASET}"]
    path = SAMPLE_FOLDER / entry["file"]
    assert path.stat().st_size < 10_000_000
    with np.load(path, allow_pickle=False) as archive:
        assert archive.files == ["hotness"]
        hotness = archive["hotness"]
    assert list(entry) == ["file", "shape", "sha256", "origin", "licence"]
    assert entry["shape"] == list(hotness.shape) == [512, profile.layers, profile.experts]
    assert entry["sha256"] == trace_sha256(hotness)
    assert entry["licence"] == "Apache-2.0"
    assert f"profile {name} (" in entry["origin"] and "not a recording" in entry["origin"]
    assert entry["origin"] == command.NewTrace(profile, command.SAMPLE_DATASET, 512, seed).origin()
    beginning = generate(profile.parameters, 16, profile.layers, profile.experts, seed)
    assert np.array_equal(hotness[:16], beginning)


def test_the_manifest_lists_only_samples_that_the_command_makes() -> None:
    made = {f"{name.split('/')[0]}/{command.SAMPLE_DATASET}" for name in command.SAMPLES}
    assert set(entries_of(SAMPLE_FOLDER)) == made and command.SAMPLE_ITERATIONS == 512


def test_without_a_profile_the_samples_are_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder) == 0
    assert files(folder / "out") == ["M/generated.npz", "N/generated.npz", "manifest.yaml"]
    with np.load(folder / "out" / "M" / "generated.npz") as archive:
        values = archive["hotness"]
    assert values.dtype == np.int16
    assert np.array_equal(values, generate(read_profile(folder / "profiles/M/d.yaml").parameters, 512, 2, 16, seed=1))
    assert entries_of(folder / "out")["N/generated"]["shape"] == [512, 3, 8]
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith(f"{folder / 'out' / 'N' / 'generated.npz'}: [512, 3, 8], ") and len(lines) == 2


def test_samples_can_be_shorter_of_another_name_seed_and_format(folder: Path) -> None:
    assert run(folder, "--dataset", "mine", "--iterations", 20, "--seed", 9, "--format", "npy") == 0
    for profile, seed in ((TINY, 9), (OTHER, 10)):
        values = np.load(folder / "out" / profile.model / "mine.npy")
        expected = generate(profile.parameters, 20, profile.layers, profile.experts, seed=seed)
        assert values.dtype == np.int32 and np.array_equal(values, expected)


def test_a_profile_is_found_by_name_or_by_file(folder: Path) -> None:
    write_profile(folder / "mine.yaml", replace(OTHER, dataset="mine"))
    assert run(folder, "--profile", "M/d", folder / "mine.yaml") == 0
    assert files(folder / "out") == ["M/d.npy", "N/mine.npy", "manifest.yaml"]
    first, second = np.load(folder / "out" / "M" / "d.npy"), np.load(folder / "out" / "N" / "mine.npy")
    assert np.array_equal(first, generate(TINY.parameters, 40, 2, 16, seed=1))
    # Traces of one seed have much in common, so each has its own.
    assert np.array_equal(second, generate(OTHER.parameters, 24, 3, 8, seed=2))
    assert entries_of(folder / "out")["M/d"] == {
        "file": "M/d.npy",
        "shape": [40, 2, 16],
        "sha256": trace_sha256(first),
        "origin": command.NewTrace(TINY, "d", 40, 1).origin(),
        "licence": "Apache-2.0",
    }


def test_the_origin_tells_profile_parameters_and_seed() -> None:
    origin = command.NewTrace(TINY, "d", 40, 1).origin()
    pattern = r"generated: profile M/d \(parameters [0-9a-f]{8}\), seed 1, period, phase and switches drawn from the "
    assert re.fullmatch(pattern + r"seed, kit\.py generate; not a recording", origin)
    others = [TINY.with_parameters(layer_sigma=0.1), TINY.with_parameters(third_harmonic=0.1)]
    new_traces = [command.NewTrace(other, "d", 40, 1) for other in others] + [command.NewTrace(TINY, "d", 40, 2)]
    assert len({origin, *(trace.origin() for trace in new_traces)}) == 4


def test_a_fitted_trace_says_that_it_is_for_calibration_alone(folder: Path) -> None:
    assert run(folder, "--profile", "M/d", "N/e", "--fitted") == 0
    for profile, seed in ((TINY, 1), (OTHER, 2)):
        shape = profile.iterations, profile.layers, profile.experts
        values = np.load(folder / "out" / f"{profile.name}.npy")
        assert np.array_equal(values, generate(profile.parameters, *shape, seed, fitted=True))
        assert not np.array_equal(values, generate(profile.parameters, *shape, seed))
        origin = entries_of(folder / "out")[profile.name]["origin"]
        assert "period, phase and switches as fitted, for calibration alone, kit.py generate" in origin


def test_the_same_command_writes_the_same_bytes_and_keeps_other_entries(folder: Path) -> None:
    written = []
    for _ in range(2):
        assert run(folder, "--profile", "M/d", "--format", "npz") == 0
        assert run(folder, "--profile", "M/d", "--dataset", "other.one", "--seed", 9) == 0
        written.append({name: (folder / "out" / name).read_bytes() for name in files(folder / "out")})
    assert written[0] == written[1]
    assert list(written[0]) == ["M/d.npz", "M/other.one.npy", "manifest.yaml"]
    assert list(entries_of(folder / "out")) == ["M/d", "M/other.one"]


def test_a_trace_has_one_file(folder: Path) -> None:
    for suffix in ("npy", "npz", "npy"):
        assert run(folder, "--profile", "M/d", "--format", suffix) == 0
        assert files(folder / "out") == [f"M/d.{suffix}", "manifest.yaml"]


def test_another_state_of_a_profile_or_another_length_replaces_a_generated_trace(folder: Path) -> None:
    assert run(folder, "--profile", "M/d") == 0
    write_profile(folder / "profiles" / "M" / "d.yaml", TINY.with_parameters(layer_sigma=1.0))
    for arguments in ([], ["--iterations", "17"], ["--seed", "2"]):
        before = entries_of(folder / "out")["M/d"]
        assert run(folder, "--profile", "M/d", *arguments) == 0
        after = entries_of(folder / "out")["M/d"]
        assert after["sha256"] != before["sha256"] and after["origin"].startswith("generated: profile M/d (")
        assert after["sha256"] == trace_sha256(np.load(folder / "out" / "M" / "d.npy"))


def test_a_recording_is_never_replaced(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--profile", "M/d") == 0
    trace, manifest = folder / "out" / "M" / "d.npy", folder / "out" / "manifest.yaml"
    before = trace.read_bytes()
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("generated: ", "recorded: "), encoding="utf-8")
    capsys.readouterr()
    # Nothing is written for the other profile either.
    assert run(folder, "--profile", "N/e", "M/d", "--seed", 3) == 2
    assert error(capsys).startswith("trace M/d: a trace that was not generated is not replaced. Got: M/d.npy in ")
    manifest.unlink()
    assert run(folder, "--profile", "N/e", "M/d", "--seed", 3) == 2
    assert error(capsys) == (
        f"trace M/d: a file of this name may be a recording. Got: {trace}, which is not in manifest.yaml. "
        "Expected: no file of this trace. Next: move it away."
    )
    assert files(folder / "out") == ["M/d.npy"] and trace.read_bytes() == before


@pytest.mark.parametrize("suffix", ["npy", "npz", "sealed"])
def test_a_file_of_any_form_that_is_not_listed_may_be_a_recording(
    folder: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    (folder / "out" / "M").mkdir(parents=True)
    present = folder / "out" / "M" / f"d.{suffix}"
    present.write_bytes(b"recorded")
    assert run(folder, "--profile", "M/d") == 2 and str(present) in error(capsys)
    assert files(folder / "out") == [f"M/d.{suffix}"] and present.read_bytes() == b"recorded"


def test_a_manifest_of_another_form_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "manifest.yaml").write_text("traces: [1]\n", encoding="utf-8")
    assert run(folder, "--profile", "M/d") == 2
    path = folder / "out" / "manifest.yaml"
    assert error(capsys) == (
        f"manifest: the manifest has the wrong form. Got: list in {path}. Expected: a mapping `traces:` of entries. "
        "Next: correct it or move it away."
    )


def test_a_trace_that_another_numpy_drew_is_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--profile", "M/d") == 0
    trace, manifest = folder / "out" / "M" / "d.npy", folder / "out" / "manifest.yaml"
    sha256 = entries_of(folder / "out")["M/d"]["sha256"]
    manifest.write_text(manifest.read_text(encoding="utf-8").replace(sha256, "f" * 64), encoding="utf-8")
    trace.write_bytes(b"drawn elsewhere")
    capsys.readouterr()
    assert run(folder, "--profile", "M/d") == 2
    assert error(capsys) == (
        f"trace M/d: numpy {np.__version__} draws other values from this seed than the existing trace has. "
        f"Got: sha256 {sha256}, not written. Expected: {'f' * 64}. "
        "Next: use the numpy version of pyproject.toml, or write to another folder."
    )
    assert trace.read_bytes() == b"drawn elsewhere"


def test_an_unknown_profile_is_refused_with_what_would_be_one(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert run(folder, "--profile", "M/d", "nowhere.yaml") == 2
    assert error(capsys) == (
        "profile nowhere.yaml: the profile cannot be used. Got: [Errno 2] No such file or directory: 'nowhere.yaml'. "
        "Expected: a file as traces/profiles/README.md says. "
        "Next: correct the file, or name a shipped profile, such as DS-R1/LmSys."
    )
    assert not (folder / "out").exists()


def test_one_name_is_not_given_to_two_traces(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--profile", "M/d", "N/e", "--dataset", "x") == 2
    assert error(capsys) == (
        "--dataset names one trace. Got: 2 profiles. Expected: one --profile with --dataset. "
        "Next: make the traces one by one."
    )
    assert not (folder / "out").exists()


def test_what_the_generator_refuses_is_told_with_the_profiles_name(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_profile(folder / "large.yaml", TINY.with_parameters(tokens_per_iteration=1e9, token_spread=2.0))
    assert run(folder, "--profile", folder / "large.yaml") == 2
    words = r"an iteration of \S+ tokens exceeds 2147483647, the largest count of a trace"
    assert (
        re.match(rf"profile M/d: the trace cannot be generated\. Got: {words}\. ", error(capsys))
        and not (folder / "out").exists()
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--iterations", "2"], "argument --iterations: 2 is less than 3"),
        (["--iterations", "x"], "argument --iterations: 'x' is not an integer"),
        (["--seed", "-1"], "argument --seed: -1 is less than 0"),
        (
            ["--dataset", "../x"],
            "argument --dataset: '../x' is not a plain name of letters, digits, '.', '_' and '-'",
        ),
        (["--format", "csv"], "argument --format: invalid choice: 'csv'"),
        (["--profile"], "argument --profile: expected at least one argument"),
    ],
)
def test_wrong_arguments_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        run(folder, *arguments)
    assert stop.value.code == 2 and message in capsys.readouterr().err
    assert not (folder / "out").exists()
