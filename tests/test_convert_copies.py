"""kit.py convert: what is there twice, or lacks a part, is refused or said, and never becomes a trace in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kit
from conversions import result
from dumps import COUNTS, EXPERTS, IDS, LAYERS, lines, safetensors, write

NEEDED = ["--experts", str(EXPERTS)]


def convert(folder: Path, *arguments: object) -> int:
    where = ["--output", str(folder / "out"), "--model", "M", "--dataset", "d", "--licence", "CC0-1.0", "--replace"]
    return kit.main(["convert", *map(str, arguments), *where])


def refusal(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The error's text, after the command wrote nothing."""
    assert convert(folder, *arguments) == 2
    assert not (folder / "out").exists()
    return capsys.readouterr().err.removeprefix("kit.py convert: error: ").removesuffix("\n")


def notes(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    assert convert(folder, *arguments) == 0
    return [line.removeprefix("note: ") for line in capsys.readouterr().out.splitlines()[1:]]


def array(folder: Path, values: np.ndarray) -> list[object]:
    np.save(folder / "counts.npy", values)
    return ["--from", "npy", folder / "counts.npy"]


# a rank's file


def test_megatron_ranks_that_are_no_multiple_of_the_parts_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("megatron", tmp_path / "in")
    (tmp_path / "in" / "rank2.jsonl").write_bytes((tmp_path / "in" / "rank0.jsonl").read_bytes())
    assert refusal(tmp_path, capsys, "--from", "megatron", tmp_path / "in", *NEEDED) == (
        "input: a rank's file is missing. Got: part 0 of 2 by 2 ranks in layer 3, part 1 by 1 rank. Expected: each part"
        " by as many ranks. Next: give every rank's file, or correct --experts."
    )


def test_a_shared_experts_device_with_other_columns_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("mindie", tmp_path / "in")
    config = {"num_moe_layers": 2, "num_of_experts": 8, "num_dangling_shared_experts": 1}
    (tmp_path / "in" / "model_gen_config.json").write_text(json.dumps(config))
    assert refusal(tmp_path, capsys, "--from", "mindie", tmp_path / "in") == (
        "input: a device of shared experts has other experts. Got: 4 columns of rank 0. Expected: one: the shared"
        " expert's. Next: correct num_dangling_shared_experts 1 in model_gen_config.json."
    )
    for rank in (0, 1):
        (tmp_path / "in" / f"decode_{rank}.csv").write_text("9\n" * 4)
    (tmp_path / "in" / "model_gen_config.json").write_text(json.dumps(config | {"num_dangling_shared_experts": 2}))
    assert refusal(tmp_path, capsys, "--from", "mindie", tmp_path / "in").startswith(
        "input: no device of routed experts is left. Got: ranks 0 .. 1, and num_dangling_shared_experts 2 in"
    )


@pytest.mark.parametrize("form", ["mindie", "omni"])
def test_the_last_ranks_missing_file_is_asked_for(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = write(form, tmp_path / "in")
    for file in [*(tmp_path / "in").glob("decode_1.csv"), *(tmp_path / "in").glob("*_rank_1.txt")]:
        file.unlink()
    assert refusal(tmp_path, capsys, "--from", form, tmp_path / "in", *options).endswith(
        "Next: give every rank's file: that of the last rank may be missing; or correct --experts."
    )


def test_leaving_out_is_not_advised_where_nothing_would_be_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = [traced(step, layer, [[1, 2]], rank=step) for step in (0, 1) for layer in LAYERS]
    path = lines(tmp_path / "r.jsonl", trace)
    assert refusal(tmp_path, capsys, "--from", "megatron", path, *NEEDED).endswith("Next: give every rank's file.")


def test_a_load_that_is_no_number_is_refused_with_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    views = [COUNTS[0] / 1, COUNTS[1] / 1]
    views[1][1, 2] = np.nan
    for number, view in enumerate(views):
        np.save(tmp_path / f"moe_load_{number}.npy", view)
    files = [tmp_path / f"moe_load_{number}.npy" for number in (0, 1)]
    assert refusal(tmp_path, capsys, "--from", "vllm-ascend", *files).startswith(
        "moe_load_1.npy: a count is out of range. Got: nan at layer 1, expert 2 (from 0)."
    )


# copies


def traced(step: int, layer: int, ids: Any, **more: Any) -> dict[str, Any]:
    return {"step": step, "layer": layer, **more, "top_indices": ids}


@pytest.mark.parametrize("rank", [{}, {"rank": 0}], ids=["steps", "router tracer"])
def test_a_line_of_several_tokens_that_is_there_again_is_refused(
    rank: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    once = [
        traced(step, layer, IDS[step, place].tolist(), **rank) for step in (0, 1) for place, layer in enumerate(LAYERS)
    ]
    path = lines(tmp_path / "r.jsonl", once * 2)
    assert refusal(tmp_path, capsys, "--from", "steps", path, "--experts", 64) == (
        "r.jsonl, line 5: a line is there twice. Got: the choices of step 0, layer 3 in r.jsonl, line 1 again."
        " Expected: each once. Next: leave out what repeats others."
    )


def test_a_copy_of_a_file_of_steps_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        lines(tmp_path / f"{name}.jsonl", [traced(step, 3, [1, 2]) for step in range(3)])
    assert refusal(tmp_path, capsys, "--from", "steps", tmp_path, *NEEDED) == (
        "input: a file is there twice. Got: b.jsonl holds what a.jsonl does. Expected: each file once. Next: leave one"
        " of the two out."
    )


def test_single_tokens_may_be_routed_alike(tmp_path: Path) -> None:
    path = lines(tmp_path / "r.jsonl", [traced(step, 3, [[1, 2]]) for step in (0, 0, 1, 1, 2, 2)])
    assert convert(tmp_path, "--from", "steps", path, *NEEDED) == 0
    assert result(tmp_path)[:, 0, :3].tolist() == [[0, 2, 2]] * 3


@pytest.mark.parametrize("offset", [0, 16], ids=["the same", "overlapping"])
def test_two_passes_of_atom_with_the_same_counts_are_refused(
    offset: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("atom", tmp_path / "in")
    places = [{"offset_bytes": first, "shape": [2, 8], "dtype": "uint16"} for first in (0, offset)]
    lines(tmp_path / "in" / "moe_routes.jsonl", [{"moe_counts": place} for place in places])
    assert refusal(tmp_path, capsys, "--from", "atom", tmp_path / "in") == (
        f"moe_routes.jsonl, line 2: two passes have the same counts. Got: counts from byte {offset}, as"
        " moe_routes.jsonl, line 1 has them, too. Expected: other counts in each line. Next: give the folder of one"
        " run, as it was written."
    )


def test_a_request_that_is_there_twice_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, request in (("a", "r1"), ("b", "r2"), ("c", "r1")):
        np.savez(tmp_path / f"{name}.npz", routed_experts=IDS[:4, :, 0], prompt_len=1, request_id=request)
    files = [tmp_path / f"{name}.npz" for name in "abc"]
    assert refusal(tmp_path, capsys, "--from", "vllm", *files, *NEEDED) == (
        "c.npz: a request is there twice. Got: request r1 of a.npz again. Expected: each once. Next: leave one of the"
        " two out."
    )
    assert convert(tmp_path, "--from", "vllm", *files[:2], *NEEDED) == 0


# choices


def test_a_token_with_another_number_of_experts_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = lines(tmp_path / "r.jsonl", [traced(0, 3, [[1, 2]]), traced(1, 3, [[1, 2, 3]])])
    assert refusal(tmp_path, capsys, "--from", "steps", path, *NEEDED) == (
        "r.jsonl, line 2: a token has another number of experts. Got: 3 experts. Expected: 2 of each token, as in"
        " r.jsonl, line 1. Next: correct the line, or record again."
    )
    (tmp_path / "p.json").write_text(json.dumps([{"3": [[1, 2]]}, {"3": [[1, 2, 3]]}]))
    assert refusal(tmp_path, capsys, "--from", "steps", tmp_path / "p.json", *NEEDED) == (
        "p.json, pass 1, layer 3: a token has another number of experts. Got: 3 experts. Expected: 2 of each token, as"
        " before. Next: export the file again."
    )


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        (
            [[0, 1, -1], [2, -1, -1]],
            "a token has another number of choices. Got: 1 choice at layer 0, token 1 (from 0). Expected: 2, as another"
            " token has",
        ),
        (
            [[0, 1, -1], [2, 2, -1]],
            "topk_ids_of_layer names a slot twice. Got: slot 2 twice at layer 0, token 1 (from 0). Expected: different"
            " slots for a token",
        ),
    ],
    ids=["a choice less", "a slot twice"],
)
def test_wrong_choices_of_slots_are_refused(
    ids: list[list[int]], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [{"forward_pass_id": n, "rank": 0, "topk_ids_of_layer": [ids]} for n in (1, 2)]
    path = tmp_path / "expert_distribution_recorder_1.5_0.json"
    path.write_text(json.dumps({"records": records, "last_physical_to_logical_map": [[0, 1, 2]]}))
    assert refusal(tmp_path, capsys, "--from", "sglang", path) == (
        f"{path.name}, records[0]: {told}. Next: record again, with the fusion of shared experts off."
    )


def test_a_gap_in_a_requests_tokens_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    routes = [{"layer": 3, "token_idx": token, "req_id": "a", "topk_ids": [1, 2]} for token in (0, 1, 3)]
    path = lines(tmp_path / "r.jsonl", routes)
    assert refusal(tmp_path, capsys, "--from", "vllm", path, *NEEDED, "--prompt", 1) == (
        "r.jsonl, request a: a request's token is missing. Got: no token 2 of 0 .. 3. Expected: each of a request's"
        " tokens. Next: correct the line, or record again."
    )


# layers and iterations


@pytest.mark.parametrize("form", ["npy", "csv"])
def test_a_layer_with_fewer_tokens_is_told_with_the_figure(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = np.repeat(COUNTS, 3, axis=1)
    values[:64, 4] -= values[:64, 4] // 2
    if form == "csv":
        rows = [(*place, count) for place, count in np.ndenumerate(values)]
        text = "iteration,layer,expert,count\n" + "".join(
            f"{a},{b},{c},{n}\n" for (a, b, c), n in [(r[:3], r[3]) for r in rows]
        )
        (tmp_path / "t.csv").write_text(text)
    arguments = array(tmp_path, values) if form == "npy" else ["--from", "csv", tmp_path / "t.csv", *NEEDED]
    share = 1 - values[:64, 4].sum() / (64 * 8)
    assert (
        f"in 64 of 128 iterations the tokens of layer 4 add up to others than in the other layers: layer 4 has"
        f" {share:.1%} fewer there, as where a rank's counts of it are missing or there twice, or it is a draft's:"
        " convert the counts of all ranks, each once"
    ) in notes(tmp_path, capsys, *arguments)


def test_layers_that_all_differ_are_not_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = np.random.default_rng(1).integers(1, 50, (40, 4, 8))
    assert notes(tmp_path, capsys, *array(tmp_path, values)) == []


@pytest.mark.parametrize(
    ("layers", "told"),
    [((3, 4, 7, 8), "5 .. 6"), ((3, 5, 7, 9), None), ((3, 4, 6, 7, 9, 10), None)],
    ids=["a hole", "every second layer", "two of three layers"],
)
def test_layers_missing_between_others_are_told(
    layers: tuple[int, ...], told: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "iteration,layer,expert,count\n"
    text += "".join(
        f"{step},{layer},{expert},{step + 3}\n" for step in (1, 0, 2) for layer in layers for expert in (0, 1)
    )
    (tmp_path / "t.csv").write_text(text)
    said = [note for note in notes(tmp_path, capsys, "--from", "csv", tmp_path / "t.csv") if "lie between" in note]
    assert said == (
        [
            f"no counts of layers {told}, which lie between others: as where a pipeline stage's file is missing, unless"
            " the model has no experts there"
        ]
        if told
        else []
    )


def table(folder: Path, steps: list[int]) -> Path:
    rows = "".join(
        f"{step},0,{expert},{place + expert % 2 + 1}\n" for place, step in enumerate(steps) for expert in (0, 1)
    )
    (folder / "t.csv").write_text("iteration,layer,expert,count\n" + rows)
    return folder / "t.csv"


def test_iterations_without_a_row_are_left_out_with_a_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        "2 iterations between others without a row, the first behind iteration 20: left out; where such a pass was"
        " empty, give it a row of zero"
    ) in notes(tmp_path, capsys, "--from", "csv", table(tmp_path, [0, 10, 20, 50, 60]))
    assert len(result(tmp_path)) == 5


def test_a_stray_iteration_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(tmp_path, capsys, "--from", "csv", table(tmp_path, [0, 1, 999999999])) == (
        "t.csv: an iteration lies far from the others. Got: iterations 1 and 999999999 with none between, of 3."
        " Expected: numbers 1 apart, or a few left out. Next: correct the file, or export it again."
    )


# text


def test_rows_with_a_mark_of_comment_are_no_rows_less(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("iteration,layer,expert,count\n0,3,0,1\n# 1,3,0,2\n2,3,0,1\n")
    assert refusal(tmp_path, capsys, "--from", "csv", tmp_path / "t.csv") == (
        "t.csv: the table has the wrong form. Got: could not convert string '# 1' to int64 at row 1, column 1. "
        "Expected:"
        " whole numbers. Next: correct the file, or export it again."
    )


def test_quoted_numbers_behind_a_mark_of_order_are_read(tmp_path: Path) -> None:
    (tmp_path / "decode_0.csv").write_text('\ufeff"5","4"\n"1","8"\n"7","2"\n', encoding="utf-8")
    arguments = ["--from", "mindie", tmp_path / "decode_0.csv", "--layers", "3", "--experts", 2]
    assert convert(tmp_path, *arguments) == 0
    assert result(tmp_path)[:, 0].tolist() == [[5, 4], [1, 8], [7, 2]]


def test_tensors_of_cooccurrence_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = {f"{step}_3": COUNTS[step, 0] for step in range(4)}
    safetensors(tmp_path / "rank0.safetensors", keys | {"1_3_cooccurrence": np.zeros((8, 8), np.int64)})
    assert "1 tensor of cooccurrence left out" in notes(tmp_path, capsys, "--from", "trtllm", tmp_path)
    assert np.array_equal(result(tmp_path)[:, 0], COUNTS[:4, 0])
