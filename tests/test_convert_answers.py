"""kit.py convert, requests as engines answer them: base64, lines, ids of eight bits, rows never filled."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import kit
from conversions import result

LAYERS, EXPERTS, CHOICES, PROMPT, ROWS = 3, 8, 2, 4, 7
DRAW = np.random.default_rng(7)


def ids_of(experts: int = EXPERTS, choices: int = CHOICES, rows: int = ROWS) -> np.ndarray:
    """Experts [token, layer, choice], no expert twice."""
    draw = DRAW.permuted(np.tile(np.arange(experts), (rows, LAYERS, 1)), axis=2)
    return draw[..., :choices].astype(np.int32)


IDS = ids_of()


def hotness_of(ids: np.ndarray, experts: int = EXPERTS) -> np.ndarray:
    """The prompt in one iteration, each later token in one of its own."""
    passes = [ids[:PROMPT], *(ids[token : token + 1] for token in range(PROMPT, len(ids)))]
    counts = [[np.bincount(step[:, layer].ravel(), minlength=experts) for layer in range(LAYERS)] for step in passes]
    return np.array(counts, np.int32)


def packed(ids: np.ndarray) -> str:
    return base64.b64encode(ids.astype("<i4").tobytes()).decode()


def answer(ids: np.ndarray = IDS) -> dict[str, Any]:
    """As SGLang's generate returns it: one row less than there are tokens."""
    lengths = {"prompt_tokens": PROMPT, "completion_tokens": len(ids) - PROMPT + 1}
    return {"text": "", "meta_info": lengths | {"routed_experts": packed(ids)}}


def convert(folder: Path, file: Path, *arguments: object) -> int:
    where = ["--output", str(folder / "out"), "--model", "M", "--dataset", "d", "--licence", "CC0-1.0", "--replace"]
    return kit.main(["convert", "--from", "vllm", str(file), "--in-flight", "1", *map(str, arguments), *where])


def written(folder: Path, name: str, *contents: Any) -> Path:
    """A file with a line of JSON for each content."""
    path = folder / name
    path.write_text("\n".join(json.dumps(content) for content in contents) + "\n", encoding="utf-8")
    return path


def error(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.removeprefix("kit.py convert: error: ").removesuffix("\n")


@pytest.mark.parametrize("shape", [["--top-k", 2], ["--layers", "0-2"], ["--top-k", 2, "--layers", "0-2"]], ids=str)
def test_the_shape_of_base64_follows_from_either_number(shape: list[object], tmp_path: Path) -> None:
    assert convert(tmp_path, written(tmp_path, "a.json", answer()), "--experts", EXPERTS, *shape) == 0
    assert np.array_equal(result(tmp_path), hotness_of(IDS))
    kept = yaml.safe_load((tmp_path / "out" / "manifest.yaml").read_text(encoding="utf-8"))["traces"]["M/d"]
    assert kept["layers"] == [0, 1, 2]


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        (
            [],
            "routed_experts has no known shape. Got: 42 ids in a row. Expected: tokens, and experts per token. Next: "
            "give"
            " --top-k N, or --layers with the number of every layer, as 0-60.",
        ),
        (
            ["--top-k", 4],
            "routed_experts does not fit. Got: 42 ids. Expected: a multiple of 7 tokens x 4 experts. Next: correct"
            " --top-k, or record again.",
        ),
        (
            ["--layers", "1-4"],
            "routed_experts does not fit. Got: 42 ids. Expected: a multiple of 7 tokens x 4 layers. Next: name every"
            " layer of the model with --layers, dense ones too, as 0-60, or give --top-k.",
        ),
        (
            ["--layers", "3"],
            "--layers names one layer. Got: 1 number. Expected: the number of every layer. Next: give --layers 0-60 for"
            " a model of 61 layers, or --top-k N.",
        ),
    ],
    ids=["no number", "other choices", "other layers", "a number of layers"],
)
def test_a_shape_that_cannot_be_is_refused(
    shape: list[object], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(tmp_path, written(tmp_path, "a.json", answer()), "--experts", EXPERTS, *shape) == 2
    assert error(capsys) == f"a.json: {text}"


def test_each_line_is_an_answer(tmp_path: Path) -> None:
    other = ids_of()
    path = written(tmp_path, "answers.jsonl", answer(), answer(other))
    assert convert(tmp_path, path, "--experts", EXPERTS, "--top-k", 2) == 0
    assert np.array_equal(result(tmp_path), np.concatenate([hotness_of(IDS), hotness_of(other)]))


def test_a_chat_completion_is_an_answer(tmp_path: Path) -> None:
    usage = {"prompt_tokens": PROMPT, "completion_tokens": ROWS - PROMPT + 1}
    chat = {"choices": [{"message": {}}], "usage": usage, "sglext": {"routed_experts": packed(IDS)}}
    in_choice = {"choices": [{"message": {}, "sglext": chat["sglext"]}], "usage": usage}
    path = written(tmp_path, "answers.jsonl", chat, in_choice)
    assert convert(tmp_path, path, "--experts", EXPERTS, "--top-k", 2) == 0
    assert np.array_equal(result(tmp_path), np.concatenate([hotness_of(IDS)] * 2))


@pytest.mark.parametrize("several", ["choices", "outputs"])
def test_several_outputs_of_a_prompt_are_refused(
    several: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = {"routed_experts": IDS.tolist()}
    path = written(tmp_path, "a.json", {"prompt_token_ids": [0] * PROMPT, several: [output, output]})
    assert convert(tmp_path, path, "--experts", EXPERTS) == 2
    assert error(capsys) == (
        f"a.json: an answer has several outputs. Got: 2 in {several}. Expected: one: an answer is a request. Next: save"
        " an answer for each output, with the prompt's ids and length in each."
    )
    path = written(tmp_path, "a.json", [{"prompt_token_ids": [0] * PROMPT, several: [output]}] * 2)
    assert convert(tmp_path, path, "--experts", EXPERTS) == 0
    assert np.array_equal(result(tmp_path), np.concatenate([hotness_of(IDS)] * 2))


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("{", "the line is not JSON. Got: "),
        (
            "[1]",
            "the line has the wrong form. Got: a list. Expected: an object. Next: correct the line, or record again.",
        ),
        ('{"text": "", "meta_info": {}}', "a key is missing. Got: meta_info, text. Expected: the key routed_experts."),
    ],
    ids=["no JSON", "no object", "no experts"],
)
def test_a_line_that_is_no_answer_is_refused(
    line: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "answers.jsonl", answer())
    path.write_text(path.read_text(encoding="utf-8") + line, encoding="utf-8")
    assert convert(tmp_path, path, "--experts", EXPERTS, "--top-k", 2) == 2
    assert error(capsys).startswith(f"answers.jsonl, line 2: {text}")


@pytest.mark.parametrize(("experts", "choices"), [(200, 2), (256, 2), (200, 1), (256, 1)])
def test_ids_that_wrapped_in_int8_are_read_as_they_were(
    experts: int, choices: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = ids_of(experts, choices, rows=40)
    ids[3, 1, 0] = experts - 1
    ids[3, 1, 1:] = 5
    np.savez(tmp_path / "r.npz", routed_experts=ids.astype(np.int8), prompt_len=PROMPT)
    assert convert(tmp_path, tmp_path / "r.npz", "--experts", experts) == 0
    assert np.array_equal(result(tmp_path), hotness_of(ids, experts))
    assert "note: ids from 128 on wrap in int8: those of 1 request read as they were\n" in capsys.readouterr().out


@pytest.mark.parametrize("choices", [1, 2])
def test_padding_stays_padding_in_int8(choices: int, tmp_path: Path) -> None:
    ids = ids_of(256, choices, rows=9)
    stored = ids.astype(np.int8)
    stored[-2:] = -1
    np.savez(tmp_path / "r.npz", routed_experts=stored, prompt_len=PROMPT)
    assert convert(tmp_path, tmp_path / "r.npz", "--experts", 256) == 0
    assert np.array_equal(result(tmp_path), hotness_of(ids[:-2], 256))


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_ids_that_eight_bits_cannot_hold_are_refused(
    dtype: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "r.npz", routed_experts=IDS.astype(dtype), prompt_len=PROMPT)
    assert convert(tmp_path, tmp_path / "r.npz", "--experts", 384) == 2
    assert error(capsys) == (
        f"r.npz: the ids do not fit their dtype. Got: {dtype} for 384 experts. Expected: at least 16 bits: others wrap"
        " in silence. Next: record again with wider ids, or correct --experts."
    )


@pytest.mark.parametrize("choices", [1, 2])
def test_a_prompt_that_was_never_filled_is_refused(
    choices: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = ids_of(choices=choices)
    ids[:PROMPT] = 0
    ids[PROMPT:] = np.maximum(ids[PROMPT:], 1) if choices == 1 else ids[PROMPT:]
    np.savez(tmp_path / "r.npz", routed_experts=ids, prompt_len=PROMPT)
    assert convert(tmp_path, tmp_path / "r.npz", "--experts", EXPERTS) == 2
    assert error(capsys) == (
        "r.npz: rows of a request were never filled. Got: 4 tokens with expert 0 in every layer, the first of them 0"
        " (from 0). Expected: the experts of each token. Next: record again; with prefix caching or prompts in parts an"
        " engine may leave rows at zero."
    )


@pytest.mark.parametrize("filled", [True, False])
def test_many_tokens_of_expert_0_in_every_layer_are_told(
    filled: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = ids_of(choices=1, rows=60)
    if not filled:
        ids[1:21] = 0
    np.savez(tmp_path / "r.npz", routed_experts=ids, prompt_len=40)
    assert convert(tmp_path, tmp_path / "r.npz", "--experts", EXPERTS) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if "name expert 0" in line]
    share = [
        "note: 20 of 60 tokens name expert 0 in every layer (33%; by chance 4), as rows that the engine never filled:"
        " record again without prefix caching and without prompts in parts"
    ]
    assert told == ([] if filled else share)
