"""kit.py convert, SGLang's modes per_pass and per_token: a file per rank, slots instead of experts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kit
from conversions import result

DRAW = np.random.default_rng(4)
# A dense layer, then two with 4 experts in 6 slots; the replicas lie differently in each.
MAP = np.array([[0, 1, 2, 3, 0, 1], [0, 1, 2, 3, 3, 3], [2, 3, 0, 1, 1, 0]])
RANKS, PASSES, TOKENS = 3, 4, 7
# Slots of tokens [rank, pass, layer, token, choice]; the last choices are padding, and so is all of the dense layer.
IDS = np.full((RANKS, PASSES, 3, TOKENS, 8), -1, np.int32)
IDS[:, :, 1:, :, :2] = DRAW.permuted(np.tile(np.arange(6), (RANKS, PASSES, 2, TOKENS, 1)), axis=4)[..., :2]
SLOTS = (IDS[..., None] == np.arange(6)).sum(axis=(3, 4))
HOTNESS = np.zeros((PASSES, 2, 4), np.int32)
for _layer in (1, 2):
    for _slot, _expert in enumerate(MAP[_layer]):
        HOTNESS[:, _layer - 1, _expert] += SLOTS[:, :, _layer, _slot].sum(axis=0)


def convert(folder: Path, *arguments: object) -> int:
    where = ["--output", str(folder / "out"), "--model", "M", "--dataset", "d", "--licence", "CC0-1.0"]
    return kit.main(["convert", "--from", "sglang", *map(str, arguments), *where])


def record(rank: int, number: int, /, **changes: Any) -> dict[str, Any]:
    """A record of per_pass. Passes count from 10, as after a warm-up."""
    counts = SLOTS[rank, number].tolist()
    kept = {"forward_pass_id": 10 + number, "rank": rank, "gatherer_key": "primary", "global_physical_count": counts}
    return kept | changes


def dumps(folder: Path, records: dict[int, list[Any]], mapping: Any = MAP) -> Path:
    """A folder with a .json of these records for each rank."""
    (folder / "in").mkdir(exist_ok=True)
    for rank, content in records.items():
        path = folder / "in" / f"expert_distribution_recorder_5.{rank}_{rank}.json"
        dump = {"records": content, "last_physical_to_logical_map": np.asarray(mapping).tolist()}
        path.write_text(json.dumps(dump), encoding="utf-8")
    return folder / "in"


def of_all(**changes: Any) -> dict[int, list[Any]]:
    """Every rank's records, of the last pass first."""
    return {rank: [record(rank, number, **changes) for number in reversed(range(PASSES))] for rank in range(RANKS)}


def refusal(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The error's text, after the command wrote nothing."""
    assert convert(folder, *arguments) == 2
    assert not (folder / "out").exists()
    return capsys.readouterr().err.removeprefix("kit.py convert: error: ").removesuffix("\n")


def test_ranks_are_summed_and_replicas_folded_in_order_of_the_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(tmp_path, dumps(tmp_path, of_all())) == 0
    assert np.array_equal(result(tmp_path), HOTNESS)
    assert capsys.readouterr().out.splitlines()[1:] == [
        "note: summed over 3 ranks; forward_pass_id 10 .. 13 in order",
        "note: slots folded to experts with last_physical_to_logical_map: right only if no expert was moved while"
        " recording",
        "note: dense layers left out: 0 of 0 .. 2; 2 layers remain",
    ]


@pytest.mark.parametrize("with_counts", [False, True], ids=["ids alone", "ids and counts"])
def test_slots_of_tokens_are_counted_without_their_padding(with_counts: bool, tmp_path: Path) -> None:
    records = of_all()
    for rank, content in records.items():
        for entry in content:
            entry["topk_ids_of_layer"] = IDS[rank, entry["forward_pass_id"] - 10].tolist()
            entry["input_ids"] = list(range(TOKENS))
            if not with_counts:
                del entry["global_physical_count"]
    assert convert(tmp_path, dumps(tmp_path, records)) == 0
    assert np.array_equal(result(tmp_path), HOTNESS)
    assert "mode per_token, 3 files of 3 ranks" in (tmp_path / "out" / "manifest.yaml").read_text(encoding="utf-8")


def test_a_rank_without_tokens_in_a_pass_counts_nothing(tmp_path: Path) -> None:
    numbers = range(PASSES)
    idle = {"global_physical_count": np.zeros((3, 6), int).tolist(), "topk_ids_of_layer": [[], [], []]}
    records = {0: [record(0, n) for n in numbers], 1: [record(1, n, **idle) for n in numbers]}
    assert convert(tmp_path, dumps(tmp_path, records)) == 0
    assert result(tmp_path).sum() == SLOTS[0].sum()


def test_columns_of_records_are_read_from_npz(tmp_path: Path) -> None:
    for rank in range(RANKS):
        numbers = np.arange(10, 10 + PASSES)
        columns = {"forward_pass_id": numbers, "rank": rank, "gatherer_key": ["primary"] * PASSES}
        ids = {"topk_ids_of_layer": IDS[rank]} if rank else {"global_physical_count": SLOTS[rank]}
        np.savez(tmp_path / f"{rank}.npz", last_physical_to_logical_map=MAP, **columns, **ids)
    assert convert(tmp_path, *(tmp_path / f"{rank}.npz" for rank in range(RANKS))) == 0
    assert np.array_equal(result(tmp_path), HOTNESS)


def test_the_halves_of_a_pass_in_two_batches_add_up(tmp_path: Path) -> None:
    zeros = np.zeros((3, 6), int).tolist()
    records = of_all(gatherer_key="child_a")
    for rank, content in records.items():
        content += [record(rank, n, gatherer_key="child_b", global_physical_count=zeros) for n in range(PASSES)]
    assert convert(tmp_path, dumps(tmp_path, records)) == 0
    assert np.array_equal(result(tmp_path), HOTNESS)


def test_equal_counts_of_all_ranks_are_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = {rank: [record(0, number, rank=rank) for number in range(PASSES)] for rank in (0, 1)}
    assert convert(tmp_path, dumps(tmp_path, records)) == 0
    assert (
        "note: every rank counted the same in every pass, as without DP attention, where each sees every token: the"
        " counts are 2 times the tokens; --divide 2 makes them tokens\n"
    ) in capsys.readouterr().out


def test_passes_that_a_rank_did_not_record_are_left_out_when_that_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = of_all()
    records[2] = records[2][1:]
    assert convert(tmp_path, dumps(tmp_path, records), "--skip-incomplete") == 0
    assert np.array_equal(result(tmp_path), HOTNESS[:3])
    assert "note: incomplete passes left out: 13\n" in capsys.readouterr().out


def test_passes_that_no_rank_recorded_are_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = {rank: [record(rank, number) for number in (0, 1, 3)] for rank in range(RANKS)}
    assert convert(tmp_path, dumps(tmp_path, records)) == 0
    assert np.array_equal(result(tmp_path), HOTNESS[[0, 1, 3]])
    assert "note: 1 pass between the first and the last have no record by any rank\n" in capsys.readouterr().out


FILE = "expert_distribution_recorder_5.0_0.json"
COMPARE = "Next: compare the file with the form in starting_kit/traces/conversion/README.md, or dump again."
FUSED = "Next: record again, with the fusion of shared experts off."


def one(**changes: Any) -> dict[int, list[Any]]:
    """One rank's only record, so changed; a key with the value None is left out."""
    return {0: [{key: value for key, value in record(0, 0, **changes).items() if value is not None}]}


WRONG_SLOT = IDS[0, 0].copy()
WRONG_SLOT[1, 2, 0] = 6
OTHER_IDS = IDS[0, 0].copy()
OTHER_IDS[1, 2] = -1
OTHER = (1, int(IDS[0, 0][1, 2, :2].min()))
NEGATIVE = SLOTS[0, 0].copy()
NEGATIVE[2, 3] = -1
MALFORMED = {
    "a pass that a rank lacks": (
        {0: [record(0, 0), record(0, 1)], 1: [record(1, 0)], 2: [record(2, 0)]},
        MAP,
        "passes: a pass was not recorded by every rank. Got: no record of forward_pass_id 11 by rank 1 .. 2; 1 of 2"
        " passes are incomplete. Expected: a record by each of ranks 0 .. 2. Next: give every rank's file, or"
        " --skip-incomplete to leave such passes out.",
    ),
    "a rank without a file": (
        {0: [record(0, 0)], 2: [record(2, 0)]},
        MAP,
        "input: a rank's file is missing. Got: records of ranks 0, 2. Expected: ranks 0 .. 2."
        " Next: give the file of rank 1 too.",
    ),
    "a record twice": (
        {0: [record(0, 0), record(0, 0)]},
        MAP,
        f"{FILE}, records[1]: a record is there twice. Got: forward_pass_id 10 of rank 0, gatherer_key primary again."
        " Expected: each once. Next: leave out the file that repeats it.",
    ),
    "no record": (
        {0: []},
        MAP,
        f"{FILE}: records has the wrong form. Got: no record. Expected: a list of records. {COMPARE}",
    ),
    "a record that is a list": (
        {0: [[1]]},
        MAP,
        f"{FILE}, records[0]: a record has the wrong form. Got: a ndarray. Expected: a mapping. {COMPARE}",
    ),
    "no counts": (
        one(global_physical_count=None),
        MAP,
        f"{FILE}, records[0]: the record holds no counts. Got: keys forward_pass_id, gatherer_key, rank. Expected:"
        f" global_physical_count or topk_ids_of_layer. {COMPARE}",
    ),
    "no pass": (
        one(forward_pass_id=None),
        MAP,
        f"{FILE}, records[0]: a key is missing. Got: gatherer_key, global_physical_count, rank. Expected: the key"
        " forward_pass_id. Next: choose another --from, or export again.",
    ),
    "a rank of text": (
        one(rank="first"),
        MAP,
        f"{FILE}, records[0]: rank is not an integer from 0. Got: 'first'. Expected: an integer from 0. {COMPARE}",
    ),
    "counts of other slots": (
        one(global_physical_count=SLOTS[0, 0][:, :5].tolist()),
        MAP,
        f"{FILE}, records[0]: global_physical_count does not fit the map. Got: shape [3, 5]. Expected: [3, 6]."
        f" {COMPARE}",
    ),
    "a negative count": (
        one(global_physical_count=NEGATIVE.tolist()),
        MAP,
        f"{FILE}, records[0], global_physical_count: a count is out of range. Got: -1 at layer 2, slot 3 (from 0)."
        " Expected: a whole number in 0 .. 2147483647. Next: record again, or export the counts of tokens as they were"
        " counted.",
    ),
    "a sum that is too large": (
        {rank: [record(rank, 0, global_physical_count=[[2**30] * 6] * 3)] for rank in (0, 1)},
        MAP,
        "expert_distribution_recorder_5.0_0.json, records[0]: a count is out of range. Got: 2147483648 at layer 0,"
        " expert 0 (from 0), summed over ranks. Expected: 0 .. 2147483647. Next: record again.",
    ),
    "an id that is no slot": (
        one(topk_ids_of_layer=WRONG_SLOT.tolist()),
        MAP,
        f"{FILE}, records[0]: topk_ids_of_layer holds ids that are not slots. Got: 6 at layer 1, token 2, choice 0 "
        "(from 0)."
        f" Expected: integers in -1 .. 5: slots, -1 for padding. {FUSED}",
    ),
    "ids of other layers": (
        one(topk_ids_of_layer=IDS[0, 0][1:].tolist()),
        MAP,
        f"{FILE}, records[0]: topk_ids_of_layer does not fit the map. Got: shape [2, 7, 8]. Expected: [layer, token,"
        f" choice] with 3 layers. {COMPARE}",
    ),
    "counts and ids that differ": (
        one(topk_ids_of_layer=OTHER_IDS.tolist()),
        MAP,
        f"{FILE}, records[0], layer 1, slot {OTHER[1]} (from 0): a record's counts contradict each other. Got:"
        f" global_physical_count {SLOTS[0, 0][OTHER]}, topk_ids_of_layer {SLOTS[0, 0][OTHER] - 1}. Expected: the same"
        f" tokens in both. {COMPARE}",
    ),
    "an expert without a slot": (
        one(),
        np.where(MAP == 2, 0, MAP),
        f"{FILE}, last_physical_to_logical_map: the map leaves an expert out. Got: no slot for expert 2 in layer 0"
        f" (from 0). Expected: each of 4 experts in every layer. {FUSED}",
    ),
    "a negative expert": (
        one(),
        MAP - 1,
        f"{FILE}, last_physical_to_logical_map: the map's values are not expert ids. Got: -1 at layer 0, slot 0"
        f" (from 0). Expected: integers in 0 .. 5. {FUSED}",
    ),
    "an expert that cannot be": (
        one(),
        np.where(MAP == 3, 2**40, MAP),
        f"{FILE}, last_physical_to_logical_map: the map's values are not expert ids. Got: 1099511627776 at layer 0, "
        "slot"
        f" 3 (from 0). Expected: integers in 0 .. 5. {FUSED}",
    ),
    "a map of text": (
        one(),
        MAP.astype(str),
        f"{FILE}, last_physical_to_logical_map: the map's values are not expert ids. Got: dtype <U1. Expected: integers"
        f" in 0 .. 5. {FUSED}",
    ),
    "ids of text": (
        one(topk_ids_of_layer=IDS[0, 0].astype(str).tolist()),
        MAP,
        f"{FILE}, records[0]: topk_ids_of_layer holds ids that are not slots. Got: dtype <U2. Expected: integers in -1 "
        ".. 5:"
        f" slots, -1 for padding. {FUSED}",
    ),
    "a flat map": (
        one(),
        MAP[0],
        f"{FILE}: last_physical_to_logical_map has the wrong form. Got: shape [6]. Expected: numbers [layer, slot]."
        " Next: compare the file with the form in starting_kit/traces/conversion/README.md.",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_dump_is_refused(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records, mapping, text = MALFORMED[case]
    assert refusal(tmp_path, capsys, dumps(tmp_path, records, mapping)) == text


def test_a_placement_that_changed_between_files_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = dumps(tmp_path, {0: [record(0, 0)]})
    dumps(tmp_path, {1: [record(1, 0)]}, MAP[:, ::-1])
    assert refusal(tmp_path, capsys, folder) == (
        "expert_distribution_recorder_5.1_1.json: experts were moved while recording. Got: another"
        f" last_physical_to_logical_map than in {FILE}. Expected: one map in all files: the maps of earlier passes are"
        " not in the dump. Next: record again without --enable-eplb, or convert the dumps of each map by themselves,"
        " all ranks together; where each file has the layers of one stage alone, each becomes a trace of those layers."
    )


def test_a_dump_without_a_map_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "0.npz", forward_pass_id=[1], rank=0, global_physical_count=SLOTS[0, :1])
    assert refusal(tmp_path, capsys, tmp_path / "0.npz") == (
        "0.npz: a key is missing. Got: forward_pass_id, global_physical_count, rank. Expected: the key"
        " last_physical_to_logical_map. Next: choose another --from, or export again."
    )


def test_columns_of_different_lengths_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = {"forward_pass_id": [1, 2], "rank": 0, "global_physical_count": SLOTS[0, :1]}
    np.savez(tmp_path / "0.npz", last_physical_to_logical_map=MAP, **columns)
    assert refusal(tmp_path, capsys, tmp_path / "0.npz") == (
        f"0.npz: global_physical_count has another length. Got: 1. Expected: 2 records. {COMPARE}"
    )


def test_columns_without_records_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = {"forward_pass_id": [], "rank": 0, "global_physical_count": SLOTS[0, :0]}
    np.savez(tmp_path / "0.npz", last_physical_to_logical_map=MAP, **columns)
    assert refusal(tmp_path, capsys, tmp_path / "0.npz") == (
        f"0.npz: forward_pass_id has the wrong form. Got: no record. Expected: one number for each record. {COMPARE}"
    )


def test_a_damaged_rank_is_refused_and_is_no_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = {0: [record(0, 0)], 1: [record(1, 0, rank=2**62)]}
    assert refusal(tmp_path, capsys, dumps(tmp_path, records)) == (
        "input: a rank's file is missing. Got: records of ranks 0, 4611686018427387904. Expected: ranks 0 .."
        " 4611686018427387904. Next: give the file of rank 1 too."
    )


def test_nothing_is_left_of_passes_that_are_all_incomplete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = dumps(tmp_path, {0: [record(0, 0)], 1: [record(1, 1)]})
    assert refusal(tmp_path, capsys, folder, "--skip-incomplete") == (
        "passes: no pass is left. Got: 2 passes, each incomplete. Expected: a pass recorded by every rank."
        " Next: give every rank's file of one recording."
    )


@pytest.mark.parametrize("option", ["--as-is", "--oldest"])
def test_an_option_of_the_ring_buffer_is_refused(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [option, 0] if option == "--oldest" else [option]
    assert refusal(tmp_path, capsys, dumps(tmp_path, of_all()), *arguments) == (
        f"input: an option is not of this mode. Got: {option} for a dump of mode per_pass and per_token. Expected: no"
        f" {option}. Next: leave {option} out."
    )


def test_records_of_different_models_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = dumps(tmp_path, {0: [record(0, 0)]})
    dumps(tmp_path, {1: [record(1, 0)]}, MAP[:2])
    assert refusal(tmp_path, capsys, folder) == (
        "expert_distribution_recorder_5.1_1.json: the dump is of another model. Got: [layer, slot] [2, 6]. Expected:"
        f" [3, 6] as in {FILE}. Next: convert one recording at a time; files of a pipeline's stages are joined where"
        " each has the map of all layers."
    )
