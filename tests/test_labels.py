"""Relabelled traces: other ids for the experts of each layer, known to those who have the key, and undone by them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import kit
import seal as seal_tool
from cases import make_case
from opened import open_sealed
from placement.ds_eplb import ds_eplb
from placement.errors import OrganizerError
from placement.replay import Replay, replay
from placement.trace import Trace, trace_sha256
from traces.labels import draw_labels, relabelled
from traces.sealed_part import open_part, seal_part

KEY = bytes(range(60, 92))
NAME = "M/trace-01"
HOTNESS = np.random.default_rng(3).integers(0, 1000, (11, 3, 16)).astype(np.int32)
LABELS = draw_labels(KEY, NAME, HOTNESS.shape, seed=5)
ORIGIN = {"origin": "recorded: M/LmSys", "licence": "CC-BY-4.0"}


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A plain trace M/LmSys with its manifest in `plain`, and a key."""
    (tmp_path / "plain" / "M").mkdir(parents=True)
    np.save(tmp_path / "plain" / "M" / "LmSys.npy", HOTNESS)
    entry = {"file": "M/LmSys.npy", "shape": list(HOTNESS.shape), "sha256": trace_sha256(HOTNESS), **ORIGIN}
    (tmp_path / "plain" / "manifest.yaml").write_text(yaml.safe_dump({"traces": {"M/LmSys": entry}}))
    (tmp_path / "trace.key").write_text(KEY.hex())
    return tmp_path


def seal(world: Path, *options: str, output: str = "sealed") -> int:
    arguments = ["--traces", "plain", "--output", output, "--key", "trace.key"]
    return seal_tool.main([text if text[0] == "-" else str(world / text) for text in arguments] + [*options])


def sealed(world: Path, output: str = "sealed", name: str = NAME) -> tuple[np.ndarray, dict[str, Any]]:
    """The values of a sealed trace, and its entry."""
    text = (world / output / "manifest.yaml").read_text()
    return open_sealed(world / output / f"{name}.sealed", KEY, name), yaml.safe_load(text)["traces"][name]


RENAMED = ("--relabel", "--rename", f"M/LmSys={NAME}")


def with_old_ids(hotness: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """A relabelled hotness as it was before, taken back expert by expert."""
    return np.stack([hotness[:, layer, row] for layer, row in enumerate(labels)], axis=1)


# Labels


def test_each_layer_of_each_trace_has_labels_of_its_own() -> None:
    assert LABELS.shape == (3, 16) and (np.sort(LABELS, axis=1) == np.arange(16)).all()
    others = [draw_labels(KEY, "M/trace-02", HOTNESS.shape, 5), draw_labels(KEY, NAME, HOTNESS.shape, 6)]
    rows = [tuple(row) for labels in (LABELS, *others) for row in labels]
    assert len({*rows, tuple(range(16))}) == 10


def test_without_the_key_a_seed_tells_nothing() -> None:
    assert (draw_labels(KEY, NAME, HOTNESS.shape, 5) == LABELS).all()
    assert (draw_labels(KEY[::-1], NAME, HOTNESS.shape, 5) != LABELS).any(axis=1).all()


def test_labels_are_the_same_for_ever() -> None:
    # What was sealed with one release is undone with another.
    assert draw_labels(bytes(32), "M/d", (1, 2, 5), 1).tolist() == [[4, 0, 3, 2, 1], [1, 3, 2, 4, 0]]


def test_an_expert_s_hotness_stands_under_its_label_and_comes_back() -> None:
    hotness, labels = np.array([[[5, 7, 9], [1, 2, 3]]]), np.array([[2, 0, 1], [0, 1, 2]])
    assert relabelled(hotness, labels).tolist() == [[[7, 9, 5], [1, 2, 3]]]
    assert with_old_ids(relabelled(hotness, labels), labels).tolist() == hotness.tolist()


def test_groups_stay_together_and_change_places() -> None:
    labels = draw_labels(KEY, NAME, (1, 200, 8), 5, groups=4)
    assert (np.sort(labels, axis=1) == np.arange(8)).all()
    group_of = labels.reshape(200, 4, 2) // 2
    assert (group_of[..., 0] == group_of[..., 1]).all()
    assert len({tuple(row) for row in group_of[..., 0]}) == 24 and len({tuple(row) for row in labels % 2}) == 16


def test_groups_that_do_not_divide_the_experts_are_refused() -> None:
    with pytest.raises(OrganizerError) as refused:
        draw_labels(KEY, NAME, HOTNESS.shape, 5, groups=3)
    assert str(refused.value) == (
        "trace M/trace-01: the groups do not divide the experts. Got: 16 experts, 3 groups. "
        "Expected: groups of equally many experts. Next: take the groups that the grid states for this model."
    )


# What the simulator makes of them


def ds_eplb_run(hotness: np.ndarray, initial: bool) -> Replay:
    """DS-EPLB after every window of 3; initial: nothing is redeployed."""
    case, trace = make_case(layers=3, experts=16, devices=4), Trace(hotness)

    def rebalance(start: int, stop: int, deployment: np.ndarray, iteration: int) -> Any:
        weights = trace.window(start, stop).sum(axis=0)
        return None if initial else (np.arange(3), ds_eplb(weights, case.devices, case.redundant_experts))

    return replay(trace, case, rebalance)


def test_ds_eplb_plans_the_same_for_a_relabelled_trace() -> None:
    # Distinct sums: DS-EPLB breaks ties by id. Layer l, from 0, is measured with a plan from iteration 6 + l on.
    before, after = (ds_eplb_run(hotness, False).par for hotness in (HOTNESS, relabelled(HOTNESS, LABELS)))
    planned = np.arange(11)[:, None] >= 5 + np.arange(3)
    assert before[planned] == pytest.approx(after[planned], abs=1e-12)
    assert (before[~planned] != after[~planned]).any()


def test_experts_that_were_hot_beside_one_another_are_spread_over_the_initial_deployment() -> None:
    clustered = -np.sort(-HOTNESS, axis=2)
    assert ds_eplb_run(clustered, True).par.mean() > ds_eplb_run(relabelled(clustered, LABELS), True).par.mean() + 0.3


# Sealing


def test_a_relabelled_trace_is_sealed_under_the_hash_of_its_new_values(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert seal(world, *RENAMED, "--seed", "5") == 0
    values, entry = sealed(world)
    assert (values == relabelled(HOTNESS, LABELS)).all() and (with_old_ids(values, LABELS) == HOTNESS).all()
    assert entry["sha256"] == trace_sha256(values) != trace_sha256(HOTNESS)
    assert kit.main(["verify", "--traces", str(world / "sealed"), "--key", str(world / "trace.key")]) == 0
    first, second, _ = capsys.readouterr().out.splitlines()
    assert first.endswith(" MB, relabelled")
    assert second == "The hashes of the traces have changed: make the reference from this folder (kit.py reference)."


def test_the_same_seed_gives_the_same_values_and_none_gives_others(world: Path) -> None:
    runs = {output: ("--seed", "5") if output[0] == "s" else () for output in ("s1", "s2", "none1", "none2")}
    for output, seed in runs.items():
        assert seal(world, *RENAMED, *seed, output=output) == 0
    hashes = {output: sealed(world, output)[1]["sha256"] for output in runs}
    assert hashes["s1"] == hashes["s2"] and len(set(hashes.values())) == 3


def test_the_manifest_s_plain_hash_is_still_compared(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(world / "plain" / "M" / "LmSys.npy", HOTNESS + 1)
    assert seal(world, *RENAMED) == 2
    assert f"the trace's sha256 is not the manifest's. Got: {trace_sha256(HOTNESS + 1)}. " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            ("--relabel", "--groups", "M=3"),
            "trace M/LmSys: the groups do not divide the experts. Got: 16 experts, 3 gr",
        ),
        (
            ("--relabel", "--groups", "X=2"),
            "seal: groups cannot be kept together. Got: 'X=2'. Expected: MODEL=N with MODEL one of M and N the model's "
            "groups. Next: correct --groups.",
        ),
        (("--relabel", "--groups", "M=0"), "seal: groups cannot be kept together. Got: 'M=0'."),
    ],
)
def test_groups_that_fit_no_trace_are_refused_before_anything_is_written(
    world: Path, options: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert seal(world, *options) == 2
    assert text in capsys.readouterr().err and not (world / "sealed").exists()


def test_options_of_relabelling_alone_are_refused(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        seal(world, "--seed", "5")
    assert "error: --seed and --groups need --relabel: add --relabel, or leave them out" in capsys.readouterr().err


# The manifest's sealed part


def test_the_sealed_part_tells_organizers_what_a_trace_was(world: Path) -> None:
    assert seal(world, *RENAMED, "--seed", "5", "--groups", "M=2") == 0
    values, entry = sealed(world)
    part = open_part(entry, KEY, NAME)
    assert part == {"name": "M/LmSys", **ORIGIN, "relabelled": {"seed": 5, "groups": 2}}
    labels = draw_labels(KEY, NAME, values.shape, **part["relabelled"])
    assert (with_old_ids(values, labels) == HOTNESS).all()


def test_nothing_of_the_sealed_part_is_readable(world: Path) -> None:
    assert seal(world, *RENAMED, "--seed", "5") == 0 and seal(world, "--rename", f"M/LmSys={NAME}", output="r") == 0
    entries = [sealed(world, output)[1] for output in ("sealed", "r")]
    assert [list(entry) for entry in entries] == [["file", "shape", "sha256", "sealed_sha256", "sealed_part"]] * 2
    data = [bytes.fromhex(entry["sealed_part"]) for entry in entries]
    # Neither what it holds, nor by its length how long that is, nor twice the same.
    assert len(data[0]) == len(data[1]) == 16 + 12 + 4096 + 16 and data[0][:40] != data[1][:40]
    assert all(word not in part for part in data for word in (b"LmSys", b"seed", b"recorded", KEY))


def test_notes_of_a_recording_which_name_experts_are_sealed_when_it_is_relabelled(world: Path) -> None:
    path = world / "plain" / "manifest.yaml"
    manifest = yaml.safe_load(path.read_text())
    manifest["traces"]["M/LmSys"]["notes"] = ["expert 3 of layer 0 is never hot"]
    path.write_text(yaml.safe_dump(manifest))
    assert seal(world, "--relabel") == 0 and seal(world, output="open") == 0
    relabelled_entry, entry = (sealed(world, output, "M/LmSys")[1] for output in ("sealed", "open"))
    assert "notes" not in relabelled_entry and entry["notes"] == ["expert 3 of layer 0 is never hot"]
    assert open_part(relabelled_entry, KEY, "M/LmSys")["notes"] == entry["notes"]


def test_the_order_of_a_sealed_manifest_tells_nothing_of_former_names(world: Path) -> None:
    np.save(world / "plain" / "M" / "Wild.npy", HOTNESS)
    (world / "plain" / "manifest.yaml").unlink()
    assert seal(world, "--rename", "M/LmSys=M/trace-02", "--rename", "M/Wild=M/trace-01") == 0
    assert list(yaml.safe_load((world / "sealed" / "manifest.yaml").read_text())["traces"]) == [NAME, "M/trace-02"]


def test_a_folder_that_still_tells_a_former_name_is_refused(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seal(world) == 0
    before = sorted((world / "sealed").rglob("*"))
    assert seal(world, *RENAMED) == 2
    folder = world / "sealed"
    assert capsys.readouterr().err == (
        f"seal.py: error: trace {NAME}: the output folder reveals the trace's former name. Got: M/LmSys in {folder}. "
        "Expected: an --output folder that holds the trace only under its new name. Next: choose another folder with "
        "--output, or "
        f"remove {folder / 'M' / 'LmSys.sealed'} and its entry in manifest.yaml.\n"
    )
    assert sorted((world / "sealed").rglob("*")) == before


def test_a_sealed_trace_is_replaced_only_when_asked_for(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seal(world, *RENAMED) == 0
    path = world / "sealed" / f"{NAME}.sealed"
    before = path.read_bytes()
    assert seal(world, *RENAMED) == 2
    assert path.read_bytes() == before
    assert capsys.readouterr().err == (
        f"seal.py: error: trace {NAME}: the trace was sealed before. Got: {path}. Expected: an --output folder without "
        "this trace. Next: choose another folder with --output; or give --replace, and copy the new traces to the "
        "workers, and "
        "make the reference again, because other ids give other hashes.\n"
    )
    assert seal(world, *RENAMED, "--replace") == 0
    assert path.read_bytes() != before


def test_a_trace_that_hides_nothing_has_no_sealed_part(world: Path) -> None:
    assert seal(world) == 0
    assert open_part(sealed(world, name="M/LmSys")[1], KEY, "M/LmSys") == {}


@pytest.mark.parametrize("change", ["key", "name", "hash", "bit", "cut", "text", "number"])
def test_a_sealed_part_opens_with_its_key_name_and_entry_alone(change: str) -> None:
    text = seal_part({"name": "M/LmSys"}, KEY, NAME, "ab")
    key, name = KEY[::-1] if change == "key" else KEY, "M/x" if change == "name" else NAME
    changed = {"bit": text[:-1] + "0123456789abcdef"[int(text[-1], 16) ^ 1], "cut": text[:40], "text": "?", "number": 7}
    entry = {"sha256": "cd" if change == "hash" else "ab", "sealed_part": changed.get(change, text)}
    with pytest.raises(OrganizerError) as refused:
        open_part(entry, key, name)
    assert str(refused.value) == (
        f"trace {name}: the manifest's sealed part cannot be opened. Got: an entry, a name and a key that do not "
        "belong together. Expected: the entry as seal.py wrote it, and the key that it was sealed with. "
        "Next: use that key; if this is the key, copy manifest.yaml again."
    )


def test_a_sealed_part_of_another_release_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traces.sealed_part.FORMAT", 2)
    text = seal_part({}, KEY, NAME, "ab")
    monkeypatch.undo()
    with pytest.raises(OrganizerError, match="part has the wrong format"):
        open_part({"sha256": "ab", "sealed_part": text}, KEY, NAME)


# inspect


def inspect(world: Path, capsys: pytest.CaptureFixture[str], *options: str, name: str = NAME) -> tuple[int, list[str]]:
    capsys.readouterr()
    code = kit.main(["inspect", str(world / "sealed" / f"{name}.sealed"), *options])
    said = capsys.readouterr()
    return code, (said.out + said.err).splitlines()


def test_inspect_shows_the_sealed_part_and_writes_the_labels(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seal(world, *RENAMED, "--seed", "5") == 0
    labels, key = world / "labels", str(world / "trace.key")
    code, lines = inspect(world, capsys, "--key", key, "--labels", str(labels))
    assert code == 0 and lines[0].startswith(
        f"{world / 'sealed' / NAME}.sealed: sealed, format 1, [11, 3, 16], int32, "
    )
    assert lines[1:] == [
        "  name: M/LmSys",
        "  origin: recorded: M/LmSys",
        "  licence: CC-BY-4.0",
        "  relabelled: seed 5, groups 1",
        f"  labels: {labels / NAME}.npy",
    ]
    assert (np.load(labels / f"{NAME}.npy") == LABELS).all()
    assert len(inspect(world, capsys)[1]) == 1


def test_inspect_says_where_nothing_was_relabelled(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seal(world, "--rename", f"M/LmSys={NAME}") == 0 and seal(world) == 0
    options = ("--key", str(world / "trace.key"), "--labels", str(world / "labels"))
    assert inspect(world, capsys, *options)[1][-1] == "  relabelled: no"
    assert inspect(world, capsys, *options, name="M/LmSys")[1][1:] == [
        "  the manifest keeps nothing sealed for this trace"
    ]
    assert not (world / "labels").exists()


def test_inspect_names_another_key_and_a_missing_one(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seal(world, *RENAMED) == 0
    (world / "trace.key").write_text(KEY[::-1].hex())
    code, lines = inspect(world, capsys, "--key", str(world / "trace.key"))
    assert code == 1 and lines[1].startswith(f"trace {NAME}: the manifest's sealed part cannot be opened. Got: ")
    assert inspect(world, capsys, "--labels", str(world / "labels")) == (
        2,
        [
            "kit.py inspect: error: --labels: --labels needs the key. Got: no --key. "
            "Expected: the key of the sealed traces. Next: add --key."
        ],
    )
