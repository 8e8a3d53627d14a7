"""kit.py convert, dumps of TensorRT-LLM, vllm-ascend, MindIE, omni-infer, Megatron-LM, ATOM, passes and tables."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dumps
import kit
import torch_files
from commands.dump_forms import FORMATS
from dumps import COUNTS, EXPERTS, HALVES, IDS, LAYERS, PASSES, WRITERS, lines, safetensors, write

# vLLM's one request has a token in an iteration.
FIRST = np.array([[np.bincount(ids[0], minlength=EXPERTS) for ids in step] for step in IDS])


def convert(folder: Path, *arguments: object) -> int:
    where = ["--output", str(folder / "out"), "--model", "M", "--dataset", "d", "--licence", "CC0-1.0"]
    return kit.main(["convert", *map(str, arguments), *where])


def result(folder: Path) -> np.ndarray:
    return np.load(folder / "out" / "M" / "d.npy")


def refusal(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The error's text, after the command wrote nothing."""
    capsys.readouterr()
    assert convert(folder, *arguments) == 2
    assert not (folder / "out").exists()
    return capsys.readouterr().err.removeprefix("kit.py convert: error: ").removesuffix("\n")


def notes(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.removeprefix("note: ") for line in capsys.readouterr().out.splitlines()[1:]]


@pytest.mark.parametrize("form", WRITERS)
def test_every_form_is_read_to_the_same_counts(form: str, tmp_path: Path) -> None:
    options = write(form, tmp_path / "in")
    assert convert(tmp_path, "--from", form, tmp_path / "in", *options) == 0
    assert np.array_equal(result(tmp_path), FIRST if form == "vllm" else COUNTS)


def test_whole_floats_are_taken_with_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = {"load_history": [{"logical_expert_load": (step / 1).tolist()} for step in COUNTS]}
    (tmp_path / "expert-load.json").write_text(json.dumps(history), encoding="utf-8")
    assert convert(tmp_path, "--from", "adrs", tmp_path / "expert-load.json") == 0
    told = [notes(capsys)[0]]
    made = [result(tmp_path)]
    views = [tmp_path / f"moe_load_{step:03}.npy" for step in range(len(COUNTS))]
    for path, counts in zip(views, COUNTS, strict=True):
        np.save(path, counts.reshape(len(LAYERS), 2, -1) / 1)
    assert convert(tmp_path, "--from", "vllm-ascend", *views, "--experts", EXPERTS, "--replace") == 0
    told += [note for note in notes(capsys) if "whole" in note]
    made.append(result(tmp_path))
    record = {"iter": 0, "block": "decoder", "layer": 3, "tpe": (COUNTS[:4, 0] / 1).tolist()}
    lines(tmp_path / "rank0.jsonl", [record])
    assert convert(tmp_path, "--from", "megatron", tmp_path / "rank0.jsonl", "--experts", EXPERTS, "--replace") == 0
    told += [note for note in notes(capsys) if "whole" in note]
    assert np.array_equal(made, [COUNTS, COUNTS]) and np.array_equal(result(tmp_path), COUNTS[:4, :1])
    assert told == ["float64 values, all whole, written as integers"] * 3


def test_layers_keep_their_numbers(tmp_path: Path) -> None:
    for form in ("trtllm", "megatron", "atom", "steps", "csv"):
        write(form, tmp_path / form)
        options = Namespace(
            inputs=[tmp_path / form], skip_incomplete=False, experts=EXPERTS, map=None, layers=None, form=form
        )
        assert FORMATS[form].read(options).layers == LAYERS


# TensorRT-LLM


def test_tensorrt_llm_is_told_with_what_was_summed_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("trtllm", tmp_path / "in")
    assert convert(tmp_path, "--from", "trtllm", tmp_path / "in") == 0
    assert notes(capsys)[:2] == [
        "iteration 50 .. 177 in order, summed over 2 ranks",
        "2 files left out: no counts (rankN.safetensors has them)",
    ]


def without_key(folder: Path) -> None:
    share = {
        f"{50 + step}_{layer}": COUNTS[step, place] for step in range(PASSES) for place, layer in enumerate(LAYERS)
    }
    del share["51_4"]
    safetensors(folder / "rank1.safetensors", share)


TRTLLM: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a pass that a rank lacks": (
        without_key,
        "input: an iteration is not complete. Got: no record of layer 4 by rank 1 in iteration 51; 1 of 128 iterations"
        " are incomplete. Expected: every layer by every rank that has it. Next: give every rank's file, or"
        " --skip-incomplete to leave such iterations out.",
    ),
    "a rank that is missing": (
        lambda folder: (folder / "rank1.safetensors").rename(folder / "rank2.safetensors"),
        "input: a rank's file is missing. Got: records of ranks 0, 2. Expected: ranks 0 .. 2. Next: give the file of"
        " rank 1 too.",
    ),
    "other experts than the description says": (
        lambda folder: (folder / "meta_info.json").write_text('{"num_experts": 16}'),
        "rank0.safetensors, 50_3: the counts do not fit. Got: 8 counts. Expected: 16, the num_experts of"
        " meta_info.json. Next: use the folder of one run.",
    ),
    "choices": (
        lambda folder: safetensors(folder / "rank0.safetensors", {"50_3": np.zeros((4, 2), np.int64)}),
        "rank0.safetensors, 50_3: the tensor is no count. Got: shape [4, 2]. Expected: keys ITERATION_LAYER, each with"
        " one count for every expert. Next: name another file.",
    ),
    "bfloat16": (
        lambda folder: safetensors(folder / "rank0.safetensors", {"50_3": np.zeros(8, np.uint16)}),
        "rank0.safetensors: the tensor's dtype is not read. Got: BF16 of 50_3. Expected: integers. Next: save the"
        " counts as they were counted, in int32 or int64.",
    ),
    "a damaged header": (
        lambda folder: (folder / "rank0.safetensors").write_bytes(b"\xff" * 20),
        "rank0.safetensors: the file cannot be read. Got: ValueError: a header of 18446744073709551615 bytes in a file"
        " of 20. Expected: a complete .safetensors file. Next: copy it again.",
    ),
}


@pytest.mark.parametrize("case", TRTLLM)
def test_a_wrong_dump_of_tensorrt_llm_is_refused(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil, text = TRTLLM[case]
    write("trtllm", tmp_path / "in")
    spoil(tmp_path / "in")
    assert refusal(tmp_path, capsys, "--from", "trtllm", tmp_path / "in") == text


def test_incomplete_iterations_are_left_out_when_that_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("trtllm", tmp_path / "in")
    without_key(tmp_path / "in")
    assert convert(tmp_path, "--from", "trtllm", tmp_path / "in", "--skip-incomplete") == 0
    whole = COUNTS // 3 + COUNTS
    assert np.array_equal(result(tmp_path), np.delete(whole, 1, axis=0))
    assert "incomplete and left out: iteration 51" in notes(capsys)


def test_a_tensor_that_reaches_beyond_its_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = safetensors(tmp_path / "rank0.safetensors", {"50_3": np.arange(8)})
    path.write_bytes(path.read_bytes()[:-8])
    assert refusal(tmp_path, capsys, "--from", "trtllm", path).startswith(
        "rank0.safetensors: the file cannot be read. Got: ValueError: a tensor of shape [8] at bytes 0 .. 64 of 56."
    )


# slots: vllm-ascend, MindIE, omni-infer


def test_views_of_slots_are_folded_with_a_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    # Two devices of three slots for four experts; expert 0 and, in the other layer, expert 3 have two slots.
    table = np.array([[[0, 1, 0], [2, 3, 1]], [[3, 2, 1], [0, 3, 1]]])
    views = np.arange(4 * 2 * 6).reshape(4, 2, 2, 3)
    for number, view in enumerate(views):
        np.save(tmp_path / "in" / f"moe_load_{number}.npy", view)
    np.save(tmp_path / "map.npy", table)
    layers = [
        {"device_list": [{"device_id": n, "device_expert": row.tolist()} for n, row in enumerate(rows)]}
        for rows in table
    ]
    (tmp_path / "map.json").write_text(json.dumps({"moe_layer_count": 2, "layer_list": layers}))
    for file in ("map.npy", "map.json"):
        assert convert(tmp_path, "--from", "vllm-ascend", tmp_path / "in", "--map", tmp_path / file, "--replace") == 0
        assert result(tmp_path)[1].tolist() == [[12 + 14, 13 + 17, 15, 16], [21, 20 + 23, 19, 18 + 22]]
        assert "slots folded to experts with --map: right only while that deployment stood" in notes(capsys)


def test_stages_of_a_view_are_iterations(tmp_path: Path) -> None:
    path = torch_files.save(tmp_path / "view.pt", COUNTS.reshape(PASSES, 2, 2, 4))
    assert convert(tmp_path, "--from", "vllm-ascend", path, "--experts", EXPERTS) == 0
    assert np.array_equal(result(tmp_path), COUNTS)


def test_views_of_experts_need_no_map(tmp_path: Path) -> None:
    paths = [torch_files.save(tmp_path / f"view_{n}.pt", {"expert_load_view": view}) for n, view in enumerate(COUNTS)]
    assert convert(tmp_path, "--from", "vllm-ascend", *paths) == 0
    assert np.array_equal(result(tmp_path), COUNTS)


def test_flat_views_of_slots_are_folded_where_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / f"view_{n}.npy" for n in range(3)]
    for n, path in enumerate(paths):
        np.save(path, np.array([[1, 2, 4, 8]]) << n)
    np.save(tmp_path / "map.npy", np.array([[2, 0, 1, 0]]))
    assert convert(tmp_path, "--from", "vllm-ascend", *paths, "--map", tmp_path / "map.npy") == 0
    assert result(tmp_path).tolist() == [[[10, 4, 1]], [[20, 8, 2]], [[40, 16, 4]]]
    assert "slots folded to experts with --map: right only while that deployment stood" in notes(capsys)
    assert refusal(tmp_path / "other", capsys, "--from", "vllm-ascend", *paths, "--experts", 3).startswith(
        "view_0.npy: the counts are of slots. Got: 4 slots in a layer, --experts 3, no --map. Expected: the experts"
    )


def test_rows_of_a_map_of_the_whole_model_are_told_by_layers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("vllm-ascend", tmp_path / "in")
    # Row 0 is a dense layer's; layer 2 has the experts the other way round.
    rows = [[*range(8)], [*range(8)], [*range(7, -1, -1)]]
    (tmp_path / "map.json").write_text(json.dumps({"physical_to_logical_map": rows}))
    arguments = ["--from", "vllm-ascend", tmp_path / "in", "--map", tmp_path / "map.json"]
    assert refusal(tmp_path, capsys, *arguments) == (
        "moe_load_0.npy: --map does not fit the counts. Got: 3 rows. Expected: [layer, slot] [2, 8] as the counts have."
        " Next: say which of them are the counts' by --layers, as --layers 3-60."
    )
    assert convert(tmp_path, *arguments, "--layers", "1-2") == 0
    assert np.array_equal(result(tmp_path), np.stack([COUNTS[:, 0], COUNTS[:, 1, ::-1]], axis=1))


def test_slots_without_a_map_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("vllm-ascend", tmp_path / "in")
    assert refusal(tmp_path, capsys, "--from", "vllm-ascend", tmp_path / "in") == (
        "moe_load_0.npy: the counts are of slots. Got: 8 slots in a layer, no --map. Expected: the experts that the"
        " slots held, or as many experts as slots. Next: give --map FILE, the deployment while recording; or --experts"
        " N where no expert had two slots or was moved."
    )


WRONG_MAPS = {
    "other slots": (
        [[0, 1, 2]] * 2,
        "--map does not fit the counts. Got: [layer, slot] [2, 3]. Expected: [layer, slot] [2, 8] as the counts have",
    ),
    "an expert left out": (
        [[0, 1, 2, 3, 4, 5, 7, 7]] * 2,
        "--map leaves an expert out. Got: no slot for expert 6 in layer 0 (from 0). Expected: each of 8 experts",
    ),
    "no expert": (
        [[0, 1, 2, 3, 4, 5, 6, 8]] * 2,
        "--map names what is no expert. Got: experts 0 .. 8. Expected: 0 .. 7",
    ),
}


@pytest.mark.parametrize("case", WRONG_MAPS)
def test_a_map_that_does_not_fit_is_refused(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, text = WRONG_MAPS[case]
    options = [*write("vllm-ascend", tmp_path / "in"), "--map", tmp_path / "map.npy"]
    np.save(tmp_path / "map.npy", np.array(table))
    assert refusal(tmp_path, capsys, "--from", "vllm-ascend", tmp_path / "in", *options) == (
        f"moe_load_0.npy: {text}. Next: give the deployment that stood while recording."
    )


MINDIE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "two phases": (
        lambda folder: (folder / "prefill_0.csv").write_text("1,2,3,4\n" * 4),
        "input: the files are of two phases. Got: decode and prefill. Expected: one of them. Next: name one folder.",
    ),
    "a block that was cut off": (
        lambda folder: (folder / "decode_1.csv").write_text("1,2,3,4\n" * 3),
        "decode_1.csv: the rows are no whole blocks. Got: 3 rows. Expected: blocks of 2, one row for each layer. Next:"
        " copy it again, or correct --layers.",
    ),
    "a rank that stopped early": (
        lambda folder: (folder / "decode_1.csv").write_text("1,2,3,4\n" * 8),
        "input: a block was not recorded by every rank. Got: no block 4 by rank 1; 124 of 128 blocks are incomplete."
        " Expected: each by ranks 0 .. 1. Next: give every rank's file, or --skip-incomplete to leave such blocks out.",
    ),
    "no description": (
        lambda folder: (folder / "model_gen_config.json").unlink(),
        "decode_0.csv: the number of layers is not known. Got: no model_gen_config.json. Expected: rows of a block."
        " Next: put model_gen_config.json beside the files, or give --layers, as 3-60.",
    ),
    "experts that were placed": (
        lambda folder: (folder / "model_gen_config.json").write_text(
            '{"num_moe_layers": 2, "num_of_experts": 8, "eplb_expert_map_file": "map.json"}'
        ),
        "decode_0.csv: experts were placed while recording. Got: model_gen_config.json names map.json. Expected: that"
        " file, with --map. Next: give --map FILE.",
    ),
}


@pytest.mark.parametrize("case", MINDIE)
def test_a_wrong_dump_of_mindie_is_refused(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil, text = MINDIE[case]
    write("mindie", tmp_path / "in")
    spoil(tmp_path / "in")
    assert refusal(tmp_path, capsys, "--from", "mindie", tmp_path / "in") == text


def test_experts_that_contradict_the_description_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("mindie", tmp_path / "in")
    assert refusal(tmp_path, capsys, "--from", "mindie", tmp_path / "in", "--experts", 16) == (
        "convert: --experts is not the model's. Got: --experts 16. Expected: 8, the num_of_experts of"
        " model_gen_config.json. Next: leave --experts out."
    )


def test_devices_of_shared_experts_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("mindie", tmp_path / "in")
    for rank in (1, 0):
        (tmp_path / "in" / f"decode_{rank}.csv").rename(tmp_path / "in" / f"decode_{rank + 1}.csv")
    (tmp_path / "in" / "decode_0.csv").write_text("9\n" * (PASSES * 2))
    config = {"num_moe_layers": 2, "num_of_experts": 8, "num_dangling_shared_experts": 1}
    (tmp_path / "in" / "model_gen_config.json").write_text(json.dumps(config))
    assert convert(tmp_path, "--from", "mindie", tmp_path / "in") == 0
    assert np.array_equal(result(tmp_path), COUNTS)
    assert "rank 0 left out: devices of shared experts alone" in notes(capsys)


@pytest.mark.parametrize("form", ["mindie", "omni", "vllm-ascend"])
def test_counts_that_run_on_are_said_and_become_differences(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = COUNTS.cumsum(axis=0)
    monkeypatch.setattr(dumps, "COUNTS", running)
    monkeypatch.setattr(dumps, "HALVES", np.split(running, 2, axis=2))
    arguments = ["--from", form, tmp_path / "in", *write(form, tmp_path / "in")]
    assert convert(tmp_path, *arguments) == 0
    assert (
        "no count falls in any of 128 iterations, as of counters that run on: --differences" in capsys.readouterr().out
    )
    assert convert(tmp_path, *arguments, "--differences", "--replace") == 0
    assert np.array_equal(result(tmp_path), COUNTS[1:])


def log(folder: Path, phases: tuple[str, ...] = ("decode",), cut: str = "") -> Path:
    """omni-infer's log of the same passes, with other lines in it."""
    text = "INFO started\n"
    for step in range(PASSES):
        for rank, half in enumerate(HALVES):
            for place, layer in enumerate(LAYERS):
                counts = "\t".join(map(str, half[step, place]))
                phase = phases[step % len(phases)]
                place_of = f"[dump activation] {phase} step {step} in rank {rank} for layer {layer}"
                text += f"{place_of} get 4 experts data: {counts}{cut}\n"
    (folder / "omni.log").write_text(text)
    return folder / "omni.log"


def test_counts_in_a_log_of_omni_infer_are_read(tmp_path: Path) -> None:
    assert convert(tmp_path, "--from", "omni", log(tmp_path), "--experts", EXPERTS) == 0
    assert np.array_equal(result(tmp_path), COUNTS)


def test_a_log_of_two_phases_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = log(tmp_path, ("decode", "prefill"))
    assert refusal(tmp_path, capsys, "--from", "omni", path, "--experts", EXPERTS) == (
        "omni.log: the log is of two phases. Got: decode and prefill. Expected: one of them. Next: keep the lines of"
        " one phase."
    )


def test_a_line_of_a_log_that_is_cut_off_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(tmp_path, capsys, "--from", "omni", log(tmp_path, cut="\t1"), "--experts", EXPERTS).startswith(
        "omni.log, line 2: a line is cut off. Got: 5 counts. Expected: 4, as the line says."
    )


# Megatron-LM, and choices that tell their step


def test_loads_of_megatron_are_told_with_what_was_assumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = write("megatron", tmp_path / "in")
    assert convert(tmp_path, "--from", "megatron", tmp_path / "in", *options) == 0
    assert notes(capsys)[:3] == [
        "microbatch 0.0 .. 630.1 in order, summed over 2 ranks",
        "rank R taken to hold part R modulo 2 of the experts, as without tensor parallelism inside experts",
        "2 lines of multi-token prediction left out",
    ]


def test_loads_of_replicas_add_up(tmp_path: Path) -> None:
    options = write("megatron", tmp_path / "in")
    for rank in range(2):
        # Ranks 2 and 3 hold the parts of ranks 0 and 1, for other tokens.
        (tmp_path / "in" / f"rank{rank + 2}.jsonl").write_bytes((tmp_path / "in" / f"rank{rank}.jsonl").read_bytes())
    assert convert(tmp_path, "--from", "megatron", tmp_path / "in", *options) == 0
    assert np.array_equal(result(tmp_path), 2 * COUNTS)


def test_a_part_of_the_experts_that_no_rank_holds_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = write("megatron", tmp_path / "in")
    (tmp_path / "in" / "rank1.jsonl").unlink()
    assert refusal(tmp_path, capsys, "--from", "megatron", tmp_path / "in", *options) == (
        "input: experts are missing. Got: no part 1 of 2 in layer 3. Expected: every rank's file. Next: give every"
        " rank's file, or correct --experts."
    )


def test_a_microbatch_that_a_rank_lacks_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = write("megatron", tmp_path / "in")
    path = tmp_path / "in" / "rank1.jsonl"
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    records[0]["tpe"].pop()
    lines(path, records)
    assert refusal(tmp_path, capsys, "--from", "megatron", tmp_path / "in", *options) == (
        "input: a microbatch is not complete. Got: no record of layer 3 by rank 1 in microbatch 0.1; 1 of 128"
        " microbatches are incomplete. Expected: every layer by every rank that has it. Next: give every rank's file,"
        " or --skip-incomplete to leave such microbatches out."
    )


def test_experts_that_do_not_divide_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("megatron", tmp_path / "in")
    assert refusal(tmp_path, capsys, "--from", "megatron", tmp_path / "in", "--experts", 10) == (
        "rank0.jsonl, line 1: the ranks' experts do not fit --experts. Got: 4 experts of a rank. Expected: the same"
        " part of 10 on every rank. Next: correct --experts."
    )


def traced(ids: np.ndarray = IDS, rank: int = 0) -> list[dict[str, Any]]:
    """Lines of Megatron-LM's RouterTracer."""
    return [
        {"step": step, "stage": "pre_dispatch", "block": "decoder", "layer": layer, "rank": rank, "num_tokens": 4}
        | {"topk": 2, "top_indices": ids[step, place].tolist()}
        for step in range(len(ids))
        for place, layer in enumerate(LAYERS)
    ]


def test_choices_of_a_router_tracer_are_summed_over_ranks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    mtp = {"step": 0, "block": "mtp", "mtp_idx": 0, "layer": 0, "rank": 0, "top_indices": [[1, 2]]}
    lines(tmp_path / "in" / "router_trace_rank0.jsonl", [*traced(IDS[:, :, :1]), mtp])
    lines(tmp_path / "in" / "router_trace_rank1.jsonl", traced(IDS[:, :, 1:], rank=1))
    assert convert(tmp_path, "--from", "megatron", tmp_path / "in", "--experts", EXPERTS) == 0
    assert np.array_equal(result(tmp_path), COUNTS)
    assert "1 line of multi-token prediction left out" in notes(capsys)


def test_microbatches_of_a_step_add_up(tmp_path: Path) -> None:
    path = lines(tmp_path / "router_trace_rank0.jsonl", traced(IDS[:, :, :3]) + traced(IDS[:, :, 3:]))
    assert convert(tmp_path, "--from", "megatron", path, "--experts", EXPERTS) == 0
    assert np.array_equal(result(tmp_path), COUNTS)


def test_a_copy_of_a_ranks_trace_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    lines(tmp_path / "in" / "router_trace_rank0.jsonl", traced())
    lines(tmp_path / "in" / "router_trace_rank0_copy.jsonl", traced()[:-2])
    assert refusal(tmp_path, capsys, "--from", "megatron", tmp_path / "in", "--experts", EXPERTS) == (
        "router_trace_rank0_copy.jsonl, line 1: a rank's choices are in two files. Got: step 0, layer 3 of rank 0 in"
        " router_trace_rank0.jsonl, too. Expected: a file for each rank. Next: leave out the file where it is a copy;"
        " else write both into one."
    )


def test_routes_that_tell_their_iteration_are_read_without_a_model_of_batching(tmp_path: Path) -> None:
    routes = [
        {
            "iteration": step,
            "req_id": f"r{token}",
            "token": 0,
            "layer": LAYERS[place],
            "topk": IDS[step, place, token].tolist(),
        }
        for step, place, token in np.ndindex(*IDS.shape[:3])
    ]
    path = lines(tmp_path / "routes.jsonl", [{"type": "meta"}, *routes])
    assert convert(tmp_path, "--from", "steps", path, "--experts", EXPERTS) == 0
    assert np.array_equal(result(tmp_path), COUNTS)


STEP_LINES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "another number of tokens in a layer": (
        [*traced()[:-1], traced()[-1] | {"top_indices": [[1, 2]]}],
        "input: a step's layers have other tokens. Got: 1 and 4 tokens in layers of step 127. Expected: as many in"
        " every layer. Next: give every rank's file, or --skip-incomplete to leave such steps out.",
    ),
    "no step": (
        [{"layer": 3, "topk_ids": [1, 2]}],
        "r.jsonl, line 1: the line has other keys. Got: layer, topk_ids. Expected: layer, one of step, iteration,"
        " batch_id and one of top_indices, topk_experts, topk_ids, topk. Next: correct the line, or record again.",
    ),
    "an expert that is none": (
        [{"step": 0, "layer": 3, "topk": [[1, 2], [1, 8]]}],
        "r.jsonl, line 1, step 0, layer 3: topk holds a wrong choice. Got: token 1 chose expert 8. Expected: 0 .. 7."
        " Next: correct --experts, or record again.",
    ),
    "a token twice": (
        [{"step": 0, "layer": 3, "token": 1, "topk": [1, 2]}] * 2,
        "r.jsonl, line 2: a token is there twice. Got: token 1 of step 0, layer 3 again. Expected: each once. Next:"
        " correct the line, or record again.",
    ),
}


@pytest.mark.parametrize("case", STEP_LINES)
def test_wrong_lines_of_steps_are_refused(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    objects, text = STEP_LINES[case]
    path = lines(tmp_path / "r.jsonl", objects)
    assert refusal(tmp_path, capsys, "--from", "steps", path, "--experts", EXPERTS) == text


def test_passes_of_several_files_follow_one_another_and_null_layers_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("steps", tmp_path / "in")
    (tmp_path / "in" / "passes_2.json").write_bytes((tmp_path / "in" / "passes.json").read_bytes())
    assert convert(tmp_path, "--from", "steps", tmp_path / "in", "--experts", EXPERTS) == 0
    assert np.array_equal(result(tmp_path), np.concatenate([COUNTS, COUNTS]))
    assert notes(capsys)[:2] == [
        "256 passes in order, each an iteration",
        "layers 0 are null in every pass and left out",
    ]


# ATOM


def spoiled(folder: Path, **fields: Any) -> None:
    """The first pass with another reference."""
    place = {"offset_bytes": 0, "shape": [2, 8], "dtype": "uint16"} | fields
    lines(folder / "moe_routes.jsonl", [{"moe_counts": place}])


def wrapped(folder: Path) -> None:
    counts = np.array([[0, 70000], [35000, 35000]]).astype("<u2")
    counts.tofile(folder / "moe_counts.uint16.bin")
    spoiled(folder, shape=[2, 2])


ATOM: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a count that wrapped": (
        wrapped,
        "moe_routes.jsonl, line 1: a count was cut off. Got: 4464 choices in layer 0 (from 0), 70000 in another: 65536"
        " less. Expected: as many in every layer; a count above 65535 does not fit uint16. Next: record passes of fewer"
        " tokens.",
    ),
    "counts that are cut off": (
        lambda folder: spoiled(folder, offset_bytes=4096),
        "moe_routes.jsonl, line 1: a pass lies outside the counts. Got: 16 counts from byte 4096. Expected: within the"
        " 4096 bytes of moe_counts.uint16.bin. Next: give the folder of one run, as it was written.",
    ),
    "another dtype": (
        lambda folder: spoiled(folder, dtype="int32"),
        "moe_routes.jsonl, line 1: moe_counts has another form. Got: shape [2, 8], offset_bytes 0, dtype 'int32'."
        " Expected: shape [layer, expert] of one number of experts, offset_bytes, dtype uint16. Next: give the folder"
        " of one run, as it was written.",
    ),
    "no counts": (
        lambda folder: (folder / "moe_counts.uint16.bin").unlink(),
        "moe_routes.jsonl: there are no counts beside the lines. Got: no moe_counts.uint16.bin. Expected:"
        " moe_counts.uint16.bin of the same run. Next: give the folder of one run, as it was written.",
    ),
}


@pytest.mark.parametrize("case", ATOM)
def test_a_wrong_dump_of_atom_is_refused(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil, text = ATOM[case]
    write("atom", tmp_path / "in")
    spoil(tmp_path / "in")
    assert refusal(tmp_path, capsys, "--from", "atom", tmp_path / "in") == text


def test_passes_without_counts_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("atom", tmp_path / "in")
    assert convert(tmp_path, "--from", "atom", tmp_path / "in") == 0
    assert "1 pass without counts left out, which the recorder dropped" in notes(capsys)


# tables


def table(folder: Path, text: str) -> Path:
    (folder / "t.csv").write_text(text)
    return folder / "t.csv"


def test_columns_are_found_by_their_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = 'model,expert_id,tokens,step,"layer"\nM,1,5,7,3\nM,0,6,9,"3"\nM,2,4,8,3\n'
    assert convert(tmp_path, "--from", "csv", table(tmp_path, text)) == 0
    assert result(tmp_path).tolist() == [[[0, 5, 0]], [[0, 0, 4]], [[6, 0, 0]]]
    assert notes(capsys)[:3] == [
        "iteration 7 .. 9 in order, 3 iterations with a row",
        "3 experts, as the largest number says; --experts N states another number",
        "6 of 9 counts have no row and are zero",
    ]


HEAD = "iteration,layer,expert,count\n"
TABLES = {
    "no iteration": (
        "layer,expert,count\n0,0,1\n",
        "the table has no column iteration. Got: layer,expert,count. Expected: a first line with iteration, layer,"
        " expert, count",
    ),
    "a count twice": (
        HEAD + "0,0,0,1\n0,0,1,1\n0,0,0,2\n",
        "a count is there twice. Got: data rows 0 and 2 (from 0) for iteration 0, layer 0, expert 0. Expected: each"
        " count once",
    ),
    "a word": (
        HEAD + "0,0,0,1\n0,0,1,many\n",
        "the table has another form. Got: could not convert string 'many' to int64 at row 1, column 4. Expected: whole"
        " numbers",
    ),
    "a fraction": (
        HEAD + "0,0,0,1\n0,0,1,1.7\n",
        "the table has another form. Got: 1.7 in data row 1, column 3 (from 0). Expected: whole numbers",
    ),
    "no row": (HEAD, "the table is empty. Got: no row. Expected: a row for each count"),
    "a negative count": (
        HEAD + "0,0,0,1\n1,0,0,-1\n",
        "count is out of range. Got: -1 in data row 1 (from 0). Expected: 0 .. 2147483647",
    ),
    "a damaged expert": (
        HEAD + "0,0,70000,1\n",
        "expert is out of range. Got: 70000 in data row 0 (from 0). Expected: 0 .. 65535",
    ),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_wrong_table_is_refused(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, refused = TABLES[case]
    assert refusal(tmp_path, capsys, "--from", "csv", table(tmp_path, text)) == (
        f"t.csv: {refused}. Next: correct the file, or export it again."
    )
