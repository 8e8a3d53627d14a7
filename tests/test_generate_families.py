"""`kit.py generate --family independent | requests`: what is written and listed, what is refused, and their grids."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import kit
from commands import generate as command
from placement.trace import trace_sha256
from submissions import ROOT
from traces.composition.request_file import read_requests
from traces.composition.stream import Composition, compose
from traces.composition.topics import grouped_topics, label_topics
from traces.generation.generator import generate
from traces.generation.independent import independent
from traces.generation.profile import Parameters, Profile, write_profile

PROFILE = Profile("M", "d", 2, 16, 40, "drawn by hand", Parameters(top_k=2))
GRIDS = {
    "gptoss20b": ("GPT-OSS-20B", 24, 32, [8, 16]),
    "dsv2lite": ("DSv2-Lite", 26, 64, [8, 16, 32]),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A profile M/d as if it shipped, and routing.npz: six requests of three labels, two layers, eight experts."""
    write_profile(tmp_path / "profiles" / "M" / "d.yaml", PROFILE)
    monkeypatch.setattr(command, "FOLDER", tmp_path / "profiles")
    lengths = np.array([3, 1, 4, 1, 5, 2])
    draws = np.random.default_rng(1).permuted(np.tile(np.arange(8, dtype=np.uint8), (lengths.sum(), 2, 1)), axis=2)
    labels = np.array(["law", "law", "physics", "physics", "music", "music"])
    np.savez(tmp_path / "routing.npz", topk=draws[..., :2], length=lengths, category=labels)
    return tmp_path


def run(folder: Path, *arguments: object) -> int:
    return kit.main(["generate", "--output", str(folder / "out"), *map(str, arguments)])


def composed(folder: Path, *arguments: object) -> int:
    source = ["--requests", folder / "routing.npz", "--model", "R", "--dataset", "s"]
    return run(folder, "--family", "requests", *source, *arguments)


def error(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.removeprefix("kit.py generate: error: ").removesuffix("\n")


def entries_of(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "out" / "manifest.yaml").read_text(encoding="utf-8"))["traces"]


def test_an_independent_trace_has_its_profiles_name_and_says_its_family(folder: Path) -> None:
    assert run(folder, "--family", "independent", "--profile", "M/d", "--seed", 3) == 0
    values = np.load(folder / "out" / "M" / "d.npy")
    assert np.array_equal(values, generate(independent(PROFILE.parameters), 40, 2, 16, seed=3))
    entry = entries_of(folder)["M/d"]
    assert (entry["sha256"], entry["licence"]) == (trace_sha256(values), "Apache-2.0")
    made = r"generated: independent, profile M/d \(parameters [0-9a-f]{8}\), seed 3, every expert drifts alone, "
    assert re.fullmatch(made + r"kit\.py generate; not a recording", entry["origin"])
    # The other family's trace takes its place: both can be made again.
    assert run(folder, "--profile", "M/d", "--seed", 3) == 0
    assert entries_of(folder)["M/d"]["origin"].startswith("generated: profile M/d (")


def test_a_composed_trace_is_written_with_where_it_comes_from(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert composed(folder, "--iterations", 30, "--in-flight", 4, "--seed", 5) == 0
    assert capsys.readouterr().out == f"{folder / 'out' / 'R' / 's.npy'}: [30, 2, 8], 0.0 MB\n"
    requests = read_requests(folder / "routing.npz")
    values = np.load(folder / "out" / "R" / "s.npy")
    expected = compose(requests, label_topics(requests.labels), Composition(in_flight=4), 30, seed=5)
    assert values.dtype == np.int32 and np.array_equal(values, expected)
    entry = entries_of(folder)["R/s"]
    assert entry["sha256"] == trace_sha256(values) and entry["licence"] == "unknown, see the source"
    made = (
        r"composed: recorded requests of routing\.npz \(sha256 [0-9a-f]{8}\), topic weights stationary, 4 in flight, "
    )
    rest = r"1 token of each an iteration, seed 5, kit\.py generate; not a recording of a server"
    assert re.fullmatch(made + rest, entry["origin"])


def test_every_option_of_a_composed_trace_counts_and_is_told(folder: Path) -> None:
    (folder / "topics.yaml").write_text("arts: [music]\nscience: [PHYSICS]\n", encoding="utf-8")
    words = ["--topics", folder / "topics.yaml", "--weights", "switching", "--switch-every", 5, 9]
    amounts = ["--tokens", 2, "--longest", 4, "--in-flight", 3, "--licence", "CC0-1.0", "--format", "npz"]
    assert composed(folder, *words, *amounts, "--iterations", 20) == 0
    requests = read_requests(folder / "routing.npz")
    topics = grouped_topics(requests.labels, {"arts": ["music"], "science": ["physics"]})
    plan = Composition("switching", (5, 9), in_flight=3, tokens=2, longest=4)
    with np.load(folder / "out" / "R" / "s.npz") as archive:
        assert np.array_equal(archive["hotness"], compose(requests, topics, plan, 20, seed=1))
    entry = entries_of(folder)["R/s"]
    assert entry["licence"] == "CC0-1.0"
    assert re.search(
        r", topics of topics\.yaml \(sha256 [0-9a-f]{8}\), topic weights switching every 5-9 iterations, 3 in flight, "
        r"2 tokens of each an iteration, cut after 4 tokens, seed 1, ",
        entry["origin"],
    )


def test_the_lengths_of_a_composed_trace_differ_in_nothing_else(folder: Path) -> None:
    assert composed(folder, "--in-flight", 2) == 0
    longest = np.load(folder / "out" / "R" / "s.npy")
    assert longest.shape == (6144, 2, 8)
    assert composed(folder, "--in-flight", 2, "--iterations", 50) == 0
    assert np.array_equal(np.load(folder / "out" / "R" / "s.npy"), longest[:50])


def test_a_composed_trace_is_replaced_and_a_recording_is_not(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--iterations", 10, "--in-flight", 2]
    for seed in (1, 2):
        assert composed(folder, *small, "--seed", seed) == 0
        assert f"seed {seed}," in entries_of(folder)["R/s"]["origin"]
    manifest, before = folder / "out" / "manifest.yaml", (folder / "out" / "R" / "s.npy").read_bytes()
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("composed: ", "recorded: "), encoding="utf-8")
    assert composed(folder, *small) == 2
    assert error(capsys).startswith("trace R/s: a trace that was not generated is not replaced. Got: R/s.npy in ")
    assert (folder / "out" / "R" / "s.npy").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--profile", "M/d", "--in-flight", "4"],
            "generate: --in-flight is not an option of --family profiles. Got: --in-flight 4. "
            "Expected: no such option. Next: leave the option out, or choose another family.",
        ),
        (
            ["--family", "independent", "--profile", "M/d", "--fitted"],
            "generate: --fitted is not an option of --family independent. Got: --fitted True. "
            "Expected: no such option. Next: leave the option out, or choose another family.",
        ),
        (
            ["--family", "independent"],
            "generate: the sample traces are of the family profiles. Got: no --profile. "
            "Expected: --profile with --family independent. Next: name a profile, such as DS-R1/LmSys.",
        ),
        (
            ["--family", "requests", "--model", "R", "--dataset", "s"],
            "generate: --family requests needs --requests. Got: none. Expected: a value. Next: give --requests.",
        ),
    ],
)
def test_options_of_another_family_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(folder, *arguments) == 2 and error(capsys) == message
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--switch-every", 9],
            "generate: --switch-every needs --weights switching. Got: --weights stationary. "
            "Expected: --weights switching. Next: leave one of them out.",
        ),
        (
            ["--weights", "switching", "--switch-every", 9, 5],
            "generate: --switch-every has the wrong form. Got: 9 5. "
            "Expected: one number, or the least and the most. Next: correct --switch-every.",
        ),
        (
            ["--requests", "nowhere.npz"],
            "nowhere.npz: the file cannot be read. Got: FileNotFoundError: [Errno 2] No such file or directory: "
            "'nowhere.npz'. Expected: a complete .npz file. Next: copy the file again.",
        ),
    ],
)
def test_what_cannot_be_composed_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[object], message: str
) -> None:
    assert composed(folder, *arguments) == 2 and error(capsys) == message
    assert not (folder / "out").exists()


@pytest.mark.parametrize("name", GRIDS)
def test_the_grids_of_composed_traces_have_the_official_constants(name: str) -> None:
    model, layers, experts, ep = GRIDS[name]
    grids = [ROOT / "starting_kit" / "traces" / "composition" / f"grid_{name}.yaml"]
    grids.append(ROOT / "ingestion_program" / "grid_official.yaml")
    grid, official = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in grids)
    for key in ("window", "latency", "cost", "limits"):
        assert grid[key] == official[key]
    assert grid["models"] == {model: {"layers": layers, "experts": experts}}
    datasets = ("stationary", "drifting", "switching")
    assert grid["cases"] == [{"model": model, "dataset": dataset, "ep": ep} for dataset in datasets]
