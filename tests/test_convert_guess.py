"""kit.py convert without --from: which form is read, what is said of that, and when a person must say it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dumps
import kit
import torch_files
from commands import own_traces
from conversions import convert
from submissions import ROOT
from traces.conversion.guess import Guess, guesses

README = ROOT / "starting_kit" / "traces" / "conversion" / "README.md"
FIRST = np.array([[np.bincount(ids[0], minlength=dumps.EXPERTS) for ids in step] for step in dumps.IDS])
NAMED = {
    "sglang": "expert_distribution_recorder_1.5.pt has logical_count",
    "vllm": "request_0.npz has routed_experts",
    "trtllm": "rank0.safetensors is there",
    "vllm-ascend": "moe_load_0.npy is there",
    "mindie": "decode_0.csv is there",
    "omni": "activation_counts_recordstep_0_rank_0.txt is there",
    "megatron": "rank0.jsonl has lines with tpe",
    "atom": "moe_counts.uint16.bin is there",
    "steps": "passes.json is a list of passes, of several tokens each",
    "csv": "counts.csv names iteration, layer, expert and count",
    "adrs": "expert-load.json has load_history",
    "vllm-load": "M_expert_load.json has snapshots",
}


def refusal(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The error's text, after the command wrote nothing."""
    assert convert(folder, *arguments) == 2
    assert not (folder / "out").exists()
    return capsys.readouterr().err.removeprefix("kit.py convert: error: ").removesuffix("\n")


@pytest.mark.parametrize("form", NAMED)
def test_a_folder_of_each_form_becomes_a_trace(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = dumps.write(form, tmp_path / "in")
    assert convert(tmp_path, tmp_path / "in", *options) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"Read as {form}, because {NAMED[form]}"
    assert np.array_equal(np.load(tmp_path / "out" / "M" / "d.npy"), FIRST if form == "vllm" else dumps.COUNTS)


def test_three_commands_of_the_docs_make_a_page_and_a_score_of_a_dump(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The test above has this trace from every form, so one page and one run stand for all.
    monkeypatch.setattr(own_traces, "OUTPUT", tmp_path / "kept")
    monkeypatch.chdir(tmp_path)
    dumps.write("trtllm", tmp_path / "recordings")
    section = README.read_text(encoding="utf-8").split("\n## A trace, its statistics and a scored run\n")[1]
    lines = section.split("```")[1].splitlines()[1:]
    assert [line.split()[2] for line in lines] == ["convert", "statistics", "run"]
    for line in lines:
        program, *words = shlex.split(line)[1:]
        # The run's own output would lie in the repository.
        assert program == "starting_kit/kit.py"
        assert kit.main(words + ["--output", "scored"] * (words[0] == "run")) == 0, line
    assert (tmp_path / "statistics" / "Qwen3-mine.html").is_file()
    assert json.loads((tmp_path / "scored" / "scoring" / "scores.json").read_text())["mean_par"] > 1


def saved(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    if name.endswith(".npy"):
        np.save(path, content)
    elif name.endswith(".npz"):
        np.savez(path, **content)
    elif name.endswith(".pt"):
        torch_files.save(path, content)
    elif name.endswith(".jsonl"):
        dumps.lines(path, content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


ROWS = np.zeros((4, 2, 8), np.int64)
CONTENTS: dict[str, tuple[str, Any, list[str]]] = {
    "records of SGLang": ("d.npz", {"global_physical_count": ROWS, "forward_pass_id": np.arange(4)}, ["sglang"]),
    "many requests": ("d.npz", {"topk": ROWS, "length": np.array([4])}, ["vllm"]),
    "an answer": ("d.json", {"meta_info": {"routed_experts": ""}}, ["vllm"]),
    "snapshots": ("d.jsonl", [{"num_moe_layers": 2}, {"window_expert_load": [[1]]}], ["vllm-load"]),
    "answers": ("d.json", [{"meta_info": {}}, {"meta_info": {}}], ["vllm"]),
    "passes of one request": ("d.json", [{"0": None, "1": [[1, 2], [2, 3]]}, {"0": None, "1": [[1, 2]]}], ["vllm"]),
    "a logger's lines": ("d.jsonl", [{"type": "meta"}, {"layer": 0, "token": 0, "topk": [1, 2]}], ["vllm"]),
    "a logger's lines with a step": ("d.jsonl", [{"step": 0, "layer": 0, "topk": [1, 2]}], ["steps"]),
    "a logger's lines under ATOM's name": ("moe_routes.jsonl", [{"layer": 0, "topk_ids": [1, 2]}], ["vllm"]),
    "lines of ATOM": ("moe_routes.jsonl", [{"moe_counts": None}], ["atom"]),
    "a router trace": ("d.jsonl", [{"step": 0, "stage": "pre_dispatch", "layer": 0, "top_indices": []}], ["megatron"]),
    "a tensor": ("d.pt", ROWS, ["vllm-ascend"]),
    "a load by name": ("d.pt", {"expert_load_view": ROWS}, ["vllm-ascend"]),
    "hotness by name": ("d.npz", {"hotness": ROWS, "other": ROWS}, ["npy"]),
    "an array longer than any model": ("d.npy", np.zeros((128, 1, 32), np.int8), ["npy"]),
    # DeepSeek-R1's 33 slots on each of 8 devices look like 33 experts.
    "an array of many experts or slots": ("d.npy", np.zeros((58, 8, 33), np.int8), ["npy", "vllm-ascend"]),
    "a table with a mark of its encoding": ("d.csv", "\ufeffiteration,layer,expert,count\n", ["csv"]),
    "a log": ("d.log", "[dump activation] decode step 1 in rank 0 for layer 0 get 2 experts data: 1\t2\n", ["omni"]),
    "settings": ("d.json", {"seed": 1}, []),
    "counts of ATOM": ("d.jsonl", [{"moe_counts": None}], ["atom"]),
}


@pytest.mark.parametrize("case", CONTENTS)
def test_a_form_is_known_by_what_its_file_holds(case: str, tmp_path: Path) -> None:
    name, content, forms = CONTENTS[case]
    assert [guess.form for guess in guesses([saved(tmp_path, name, content)])] == forms


def test_routes_under_a_name_that_atom_has_too_are_requests(tmp_path: Path) -> None:
    path = saved(tmp_path, "moe_routes.jsonl", [{"type": "meta"}, {"layer": 0, "token_idx": 0, "topk_ids": [1, 2]}])
    assert [guess.form for guess in guesses([path])] == ["vllm"]


def test_a_file_that_cannot_be_read_is_refused_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bfloat = torch_files.View(np.zeros(4, np.int16), 0, (4,), (1,), "BFloat16")
    text = refusal(tmp_path, capsys, saved(tmp_path, "d.pt", {"logical_count": bfloat}))
    assert text.startswith(
        "d.pt: the file holds objects that this reader does not support. Got: a tensor of bfloat16: "
    )


def test_settings_beside_a_dump_say_nothing(tmp_path: Path) -> None:
    saved(tmp_path, "a.json", {"seed": 1})
    saved(tmp_path, "b.npz", {"routed_experts": ROWS})
    assert guesses([tmp_path]) == [Guess("vllm", "b.npz has routed_experts")]


def test_an_array_without_a_name_must_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path, "d.npy", ROWS + 1)
    assert refusal(tmp_path, capsys, path) == (
        "input: the dump can have several forms. Got: npy, because d.npy is an array [4, 2, 8]; vllm, because d.npy is"
        " an array [4, 2, 8]; vllm-ascend, because d.npy is an array [4, 2, 8]. Expected: one form. Next: give --from "
        "npy"
        " or --from vllm or --from vllm-ascend."
    )


def test_an_option_that_one_form_takes_decides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path, "d.npy", ROWS + 1)
    assert convert(tmp_path, path, "--axes", "iteration,layer,expert") == 0
    assert capsys.readouterr().out.startswith("Read as npy, because d.npy is an array [4, 2, 8]\n")


def test_an_option_that_no_guessed_form_takes_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dumps.write("adrs", tmp_path / "in")
    assert refusal(tmp_path, capsys, tmp_path / "in", "--in-flight", 2) == (
        "input: the dump's form does not take --in-flight. Got: adrs, because expert-load.json has load_history."
        " Expected: a form that takes --in-flight. Next: leave these options out."
    )


def test_a_router_trace_is_told_by_its_name(tmp_path: Path) -> None:
    line = {"step": 0, "layer": 3, "rank": 0, "top_indices": [[1, 2]]}
    saved(tmp_path, "router_trace_rank0.jsonl", [line])
    assert guesses([tmp_path]) == [Guess("megatron", "router_trace_rank0.jsonl is there")]


@pytest.mark.parametrize("form", [[], ["--from", "mindie"]], ids=["guessed", "named"])
def test_folders_of_a_folder_without_files_are_named(
    form: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for phase in ("prefill", "decode"):
        (tmp_path / "in" / phase).mkdir(parents=True)
    text = refusal(tmp_path, capsys, tmp_path / "in", *form)
    assert "Got: no such file, but folders: decode, prefill." in text
    assert text.endswith("Next: name one of the folders.")


def test_an_unknown_form_is_refused_with_the_known_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = refusal(tmp_path, capsys, saved(tmp_path, "d.json", {"seed": 1}))
    assert text.startswith(
        "input: the form of the dump is not known. Got: no file of a known form. Expected: a form listed in"
        " starting_kit/traces/conversion/README.md. Next: give --from, one of sglang, vllm, "
    )


def test_a_path_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(tmp_path, capsys, tmp_path / "absent") == (
        f"input: there is no file {tmp_path}/absent. Got: nothing. Expected: a file or a folder of them. Next: correct"
        " the path."
    )
