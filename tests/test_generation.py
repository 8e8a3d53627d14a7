"""The generator of synthetic traces, its command line, and the sample traces that it wrote."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

import traces
from placement.trace import trace_sha256
from topics import Profile, generate

SAMPLES = Path(__file__).resolve().parents[1] / "sample_traces"
SMALL = Profile(top_k=2)


def tokens_of(trace, top_k):
    """Tokens of each iteration, after checking that all layers agree on them."""
    sums = trace.sum(axis=2, dtype=np.int64)
    assert (sums == sums[:, :1]).all()
    assert (sums % top_k == 0).all()
    return sums[:, 0] // top_k


def entries_of(folder):
    return yaml.safe_load((folder / "manifest.yaml").read_text(encoding="utf-8"))["traces"]


def test_a_seed_fixes_the_bytes():
    first, again = (generate(SMALL, 40, 3, 16, seed=5) for _ in range(2))
    assert first.dtype == np.int32 and first.shape == (40, 3, 16)
    assert first.tobytes() == again.tobytes()
    assert not np.array_equal(first, generate(SMALL, 40, 3, 16, seed=6))


def test_the_global_random_state_plays_no_part():
    np.random.seed(1)
    first, state = generate(SMALL, 4, 2, 16, seed=5), np.random.get_state()[1].copy()
    np.random.seed(2)
    assert np.array_equal(first, generate(SMALL, 4, 2, 16, seed=5))
    np.random.seed(1)
    assert np.array_equal(state, np.random.get_state()[1])


@pytest.mark.parametrize("iterations", [1, 15, 16, 17, 50])
def test_a_longer_trace_begins_with_the_shorter_one(iterations):
    longest = generate(SMALL, 70, 2, 16, seed=3)
    assert np.array_equal(generate(SMALL, iterations, 2, 16, seed=3), longest[:iterations])


@pytest.mark.parametrize("dispersion", [0.0, 0.01])
def test_rows_add_up_to_what_the_tokens_route(dispersion):
    trace = generate(Profile(dispersion=dispersion), 40, 4, 128, seed=1)
    tokens = tokens_of(trace, top_k=8)
    assert 1400 < tokens.mean() < 1600 and len(set(tokens)) > 20
    assert trace.min() >= 0 and (trace <= tokens[:, None, None]).all()


@pytest.mark.parametrize("experts", [8, 9, 12, 16])
def test_a_token_chooses_an_expert_at_most_once(experts):
    trace = generate(Profile(layer_sigma=2.0), 20, 3, experts, seed=1)
    tokens = tokens_of(trace, top_k=8)
    assert (trace <= tokens[:, None, None]).all() and trace.min() >= 0
    assert (trace == tokens[:, None, None]).any(), "the limit was never reached: the test shows nothing"


def test_neighbours_in_a_block_are_correlated():
    layers, experts, block = 1000, 64, 8
    counts = generate(Profile(top_k=2, tokens_per_iteration=50_000), 1, layers, experts, seed=1)[0]
    load = np.log(counts)
    load -= load.mean(axis=1, keepdims=True)
    load /= load.std(axis=1, keepdims=True)
    pairs = load.T @ load / layers
    same_block = np.arange(experts)[:, None] // block == np.arange(experts) // block
    within = pairs[same_block & ~np.eye(experts, dtype=bool)].mean()
    # The standard error of the difference is near 0.002.
    assert 0.02 < within - pairs[~same_block].mean() < 0.04


def test_topics_move_experts_together_and_come_back():
    smooth = replace(SMALL, own_drift=0.0, dispersion=0.0, token_spread=0.0, tokens_per_iteration=1e6)
    profile = replace(smooth, topic_period=64, topic_period_spread=0.0, iterations_per_weight=4)
    load = np.log(generate(profile, 128, 2, 64, seed=1))[::4].reshape(32, -1)
    assert np.abs(load[0] - load[16]).mean() < 0.02 < np.abs(load[0] - load[8]).mean() / 2
    moves = np.linalg.svd(load - load.mean(axis=0), compute_uv=False) ** 2
    assert moves[:6].sum() > 0.95 * moves.sum()


def test_counts_are_over_dispersed():
    plain = replace(SMALL, topic_strength=0.0, own_drift=0.0, token_spread=0.0, dispersion=0.0)
    noise = [
        (counts.var(axis=0) / counts.mean(axis=0)).mean()
        for counts in (generate(replace(plain, dispersion=d), 400, 1, 64, seed=2) for d in (0.0, 0.05))
    ]
    # Variance over mean: 1 - share for multinomial draws; about mean * dispersion (47 * 0.05) comes on top.
    assert 0.9 < noise[0] < 1.1 and 2.5 < noise[1] < 5.5


def test_pinned_trace():
    trace = generate(SMALL, 32, 2, 16, seed=1)
    assert hashlib.sha256(trace.astype("<i4").tobytes()).hexdigest() == (
        "4fbdd786a3c64d8aa2e62f071fb78b810a8cb6d390518387895c9e56650cff72"
    ), (
        "the generator no longer draws what it drew: either topics.py changed (then the sample traces, their "
        "hashes and the reference results on them have to be made anew), or this numpy changed its random "
        "streams (then the samples stay as they are, and only an older numpy regenerates them)"
    )


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((0, 2, 16), "at least one"),
        ((4, 0, 16), "at least one"),
        ((4, 2, 0), "at least one"),
        ((4, 2, 7), "cannot choose 8"),
    ],
)
def test_impossible_shapes_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        generate(Profile(), *shape, seed=1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"topics": 0},
        {"dispersion": -1},
        {"block_correlation": 2},
        {"topic_period_spread": 1},
        {"topic_period": 0},
        {"tokens_per_iteration": 0},
    ],
)
def test_impossible_profiles_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Profile(**wrong)


@pytest.mark.parametrize("model", traces.MODELS)
def test_samples_are_what_the_manifest_says_and_the_generator_draws(model):
    entry = entries_of(SAMPLES)[f"{model}/generated"]
    path = SAMPLES / entry["file"]
    assert path.stat().st_size < 9_000_000
    with np.load(path, allow_pickle=False) as archive:
        assert archive.files == ["hotness"]
        hotness = archive["hotness"]
    expected = traces.MODELS[model]
    assert entry["shape"] == list(hotness.shape) == [512, expected.layers, expected.experts]
    assert entry["sha256"] == trace_sha256(hotness)
    assert f"seed {expected.seed};" in entry["origin"] and "not a recording" in entry["origin"]
    assert entry["licence"] == "Apache-2.0"
    assert list(entry) == ["file", "shape", "sha256", "origin", "licence"]
    beginning = generate(Profile(), 16, expected.layers, expected.experts, expected.seed)
    assert np.array_equal(hotness[:16], beginning)


def run(output, *arguments):
    small = ["generate", "--output", str(output), "--model", "Qwen3", "--iterations", "16"]
    return traces.main([*small, *arguments])


def test_command_writes_the_same_bytes_and_keeps_other_entries(tmp_path):
    for name in ("a", "b"):
        assert run(tmp_path / name) == 0
        assert run(tmp_path / name, "--dataset", "other", "--seed", "9", "--format", "npy") == 0
    for file in ("Qwen3/generated.npz", "Qwen3/other.npy", "manifest.yaml"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    entries = entries_of(tmp_path / "a")
    other = np.load(tmp_path / "a" / entries["Qwen3/other"]["file"], allow_pickle=False)
    assert other.dtype == np.int32 and entries["Qwen3/other"]["sha256"] == trace_sha256(other)
    assert list(entries) == ["Qwen3/generated", "Qwen3/other"]


def test_command_leaves_one_file_per_trace(tmp_path):
    assert run(tmp_path) == 0 and run(tmp_path, "--format", "npy") == 0
    assert sorted(path.name for path in (tmp_path / "Qwen3").iterdir()) == ["generated.npy"]


def test_command_never_replaces_a_recording(tmp_path, capsys):
    assert run(tmp_path) == 0
    manifest = tmp_path / "manifest.yaml"
    recorded = manifest.read_text(encoding="utf-8").replace("generated: ", "recorded: ")
    manifest.write_text(recorded, encoding="utf-8")
    before = (tmp_path / "Qwen3" / "generated.npz").read_bytes()
    assert run(tmp_path, "--seed", "3") == 2 and "was not generated" in capsys.readouterr().err
    manifest.unlink()
    assert run(tmp_path, "--seed", "3") == 2 and "may be a recording" in capsys.readouterr().err
    assert (tmp_path / "Qwen3" / "generated.npz").read_bytes() == before
    manifest.write_text("traces: [1]\n", encoding="utf-8")
    assert run(tmp_path) == 2 and "manifest.yaml" in capsys.readouterr().err


def test_command_keeps_a_trace_that_another_numpy_drew(tmp_path, capsys):
    assert run(tmp_path) == 0
    manifest = tmp_path / "manifest.yaml"
    sha256 = entries_of(tmp_path)["Qwen3/generated"]["sha256"]
    manifest.write_text(manifest.read_text(encoding="utf-8").replace(sha256, "0" * 64), encoding="utf-8")
    (tmp_path / "Qwen3" / "generated.npz").write_bytes(b"drawn elsewhere")
    assert run(tmp_path) == 2 and "draws other values from this seed" in capsys.readouterr().err
    assert (tmp_path / "Qwen3" / "generated.npz").read_bytes() == b"drawn elsewhere"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "GPT"], "invalid choice"),
        (["--iterations", "2"], "less than 3"),
        (["--iterations", "x"], "not an integer"),
        (["--seed", "-1"], "less than 0"),
        (["--dataset", "../x"], "not a plain name"),
        (["--format", "csv"], "invalid choice"),
    ],
)
def test_command_refuses_wrong_arguments(tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        run(tmp_path, *arguments)
    assert stop.value.code == 2 and message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
