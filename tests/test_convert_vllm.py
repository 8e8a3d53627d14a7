"""kit.py convert, vLLM's routed experts: requests, whose iterations come from a stated model of batching."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kit
from conversions import result

LAYERS, EXPERTS, CHOICES = 3, 8, 2
# Tokens of each request, and how many of them are the prompt's.
ROWS, PROMPTS = [7, 4, 5, 3], [4, 3, 5, 1]
# With two at once: request 0 takes iterations 0 .. 3 and 1 takes 0 .. 1; 2 follows 1 in 2, and 3 follows 2 from 3 on.
STARTS, ITERATIONS = [0, 0, 2, 3], 6


def ids_of(index: int) -> np.ndarray:
    """A request's experts, int16 [token, layer, choice]; layer 0 is dense, so its rows are zeros."""
    draw = np.random.default_rng(index)
    ids = draw.permuted(np.tile(np.arange(EXPERTS), (ROWS[index], LAYERS, 1)), axis=2)[..., :CHOICES].astype(np.int16)
    ids[:, 0] = 0
    return ids


def expected() -> np.ndarray:
    """The hotness, counted token by token."""
    hotness = np.zeros((ITERATIONS, LAYERS - 1, EXPERTS), np.int32)
    for index, start in enumerate(STARTS):
        for token, layers in enumerate(ids_of(index)):
            for layer, experts in enumerate(layers[1:]):
                for expert in experts:
                    hotness[start + max(0, token - PROMPTS[index] + 1), layer, expert] += 1
    return hotness


def convert(folder: Path, *arguments: object) -> int:
    where = ["--output", str(folder / "out"), "--model", "M", "--dataset", "d", "--licence", "CC0-1.0"]
    return kit.main(["convert", "--from", "vllm", *map(str, arguments), *where])


def save(folder: Path, index: int, **arrays: Any) -> Path:
    """A request's file; the names sort as numbers, not as text."""
    (folder / "in").mkdir(exist_ok=True)
    path = folder / "in" / f"request_{8 + index}.npz"
    np.savez(path, **({"routed_experts": ids_of(index)} | arrays))
    return path


def refusal(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The error's text, after the command wrote nothing."""
    assert convert(folder, *arguments) == 2
    assert not (folder / "out").exists()
    return capsys.readouterr().err.removeprefix("kit.py convert: error: ").removesuffix("\n")


def test_requests_are_batched_as_stated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(4):
        lengths = {"prompt_token_ids": np.arange(PROMPTS[index])} if index % 2 else {"prompt_len": PROMPTS[index]}
        save(tmp_path, index, **lengths)
    assert convert(tmp_path, tmp_path / "in", "--experts", EXPERTS, "--in-flight", 2) == 0
    assert np.array_equal(result(tmp_path), expected())
    assert capsys.readouterr().out.splitlines()[1:] == [
        "note: 4 requests in order, request_8.npz .. request_11.npz",
        "note: the last 2 of 6 iterations have fewer than 2 in flight",
        "note: dense layers left out: 0 of 0 .. 2; 2 layers remain",
        "note: 52% of the counts are zero; a run takes each as one token, which adds 66% to the load: the PAR"
        " (peak-to-average ratio) of such a trace is not the recording's, record more tokens at a time",
    ]
    assert (
        "origin: 'recorded: in; routed experts of requests, 4 files; batching model: 2 requests in flight, a prompt in"
        " one iteration, then one token per iteration, the next request in order of the files; kit.py"
        " convert'"
    ) in (tmp_path / "out" / "manifest.yaml").read_text(encoding="utf-8")


def test_32_requests_are_in_flight_unless_stated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(4):
        save(tmp_path, index, prompt_len=1)
    assert convert(tmp_path, tmp_path / "in", "--experts", EXPERTS) == 0
    assert result(tmp_path).shape[0] == max(ROWS)
    assert "the last 7 of 7 iterations have fewer than 32 in flight" in capsys.readouterr().out


def test_zeros_that_add_little_are_not_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "ids.npy", np.tile(ids_of(0), (40, 1, 1)))
    assert convert(tmp_path, tmp_path / "ids.npy", "--experts", EXPERTS, "--prompt", 278) == 0
    assert "of the counts are zero" not in capsys.readouterr().out


def test_passes_and_answers_give_the_hotness_of_the_same_arrays(tmp_path: Path) -> None:
    ids = ids_of(0)
    passes = [ids[:4], *(ids[token : token + 1] for token in range(4, 7))]
    steps = [{"0": None} | {str(n): step[:, n].tolist() for n in (1, 2)} for step in passes]
    packed = base64.b64encode(ids.astype("<i4").tobytes()).decode()
    answer = {"meta_info": {"prompt_tokens": 4, "completion_tokens": 4, "routed_experts": packed}}
    made = []
    for content in (steps, answer):
        (tmp_path / "r.json").write_text(json.dumps(content), encoding="utf-8")
        assert convert(tmp_path, tmp_path / "r.json", "--experts", EXPERTS, "--top-k", 2, "--replace") == 0
        made.append(result(tmp_path).tolist())
    assert convert(tmp_path, save(tmp_path, 0, prompt_len=4), "--experts", EXPERTS, "--replace") == 0
    assert made == [result(tmp_path).tolist()] * 2


def test_a_stated_prompt_is_of_the_requests_that_have_none(tmp_path: Path) -> None:
    paths = [save(tmp_path, 0, prompt_len=4), tmp_path / "ids.npy"]
    np.save(paths[1], ids_of(1))
    assert convert(tmp_path, *paths, "--experts", EXPERTS, "--prompt", 3) == 0
    hotness = result(tmp_path)
    assert hotness.sum(axis=(1, 2)).tolist() == [(4 + 3) * 4, 2 * 4, 4, 4]


def test_choices_of_no_expert_are_not_counted(tmp_path: Path) -> None:
    ids = ids_of(0)
    ids[:, 1, 1] = -1
    assert convert(tmp_path, save(tmp_path, 0, routed_experts=ids, prompt_len=4), "--experts", EXPERTS) == 0
    assert result(tmp_path).sum(axis=2).tolist() == [[4, 8], [1, 2], [1, 2], [1, 2]]


@pytest.mark.parametrize("dtype", ["u1", ">i2", "u8", ">u8"])
def test_ids_of_any_integers_are_counted_alike(dtype: str, tmp_path: Path) -> None:
    paths = [save(tmp_path, i, routed_experts=ids_of(i).astype(dtype), prompt_len=p) for i, p in enumerate(PROMPTS)]
    assert convert(tmp_path, *paths, "--experts", EXPERTS, "--in-flight", 2) == 0
    assert np.array_equal(result(tmp_path), expected())


@pytest.mark.parametrize("form", ["an array", "keys"])
def test_objects_are_read_when_that_is_allowed(form: str, tmp_path: Path) -> None:
    held: Any = ids_of(0) if form == "an array" else {"routed_experts": ids_of(0), "prompt_len": 4}
    boxed = np.empty((), object)
    boxed[()] = held
    np.save(tmp_path / "request.npy", boxed)
    options = ["--experts", EXPERTS, "--prompt", 4, "--allow-pickle"]
    assert convert(tmp_path, tmp_path / "request.npy", *options) == 0
    assert result(tmp_path).sum(axis=(1, 2)).tolist() == [16, 4, 4, 4]


def test_objects_are_refused_unless_allowed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    boxed = np.empty((), object)
    boxed[()] = ids_of(0)
    path = save(tmp_path, 0, routed_experts=boxed)
    assert refusal(tmp_path, capsys, path, "--experts", EXPERTS) == (
        "request_8.npz: the file holds pickled objects. Got: objects that only unpickling can make. Expected: arrays,"
        " numbers, texts and lists. Next: export arrays only; or, if you trust the file, give --allow-pickle:"
        " unpickling runs any code that its author put into it."
    )


def changed(value: int, *place: int) -> np.ndarray:
    ids = ids_of(0)
    ids[place] = value
    return ids


TWICE = ids_of(0)
TWICE[2, 1] = 5
MALFORMED = {
    "no prompt": (
        {},
        "the prompt's length is not known. Got: no prompt_len or prompt_token_ids. Expected: how many tokens the prompt"
        " has. Next: give --prompt N.",
    ),
    "a longer prompt": (
        {"prompt_len": 8},
        "the prompt's length does not fit. Got: 8. Expected: 1 .. 7, the tokens in the file."
        " Next: correct the length, or --prompt.",
    ),
    "an empty prompt": (
        {"prompt_token_ids": np.arange(0)},
        "the prompt's length does not fit. Got: 0. Expected: 1 .. 7, the tokens in the file."
        " Next: correct the length, or --prompt.",
    ),
    "two lengths": (
        {"prompt_len": [3, 4]},
        "prompt_len has the wrong form. Got: [3, 4]. Expected: one value. Next: export the request again.",
    ),
    "two axes": (
        {"routed_experts": ids_of(0)[0], "prompt_len": 1},
        "routed_experts has the wrong form. Got: shape [3, 2], dtype int16. Expected: integers [token, layer, choice]."
        " Next: export the request again.",
    ),
    "floats": (
        {"routed_experts": ids_of(0) / 1, "prompt_len": 1},
        "routed_experts has the wrong form. Got: shape [7, 3, 2], dtype float64. Expected: integers [token, layer,"
        " choice]. Next: export the request again.",
    ),
    "no such expert": (
        {"routed_experts": changed(8, 3, 2, 1), "prompt_len": 1},
        "routed_experts holds what is no expert. Got: 8 at token 3, layer 2, choice 1 (from 0). Expected: 0 .. 7, or -1"
        " for none. Next: correct --experts.",
    ),
    "a negative expert": (
        {"routed_experts": changed(-2, 3, 2, 1), "prompt_len": 1},
        "routed_experts holds what is no expert. Got: -2 at token 3, layer 2, choice 1 (from 0). Expected: 0 .. 7, or"
        " -1 for none. Next: correct --experts.",
    ),
    "an expert twice": (
        {"routed_experts": TWICE, "prompt_len": 1},
        "a token has an expert twice. Got: expert 5 twice at token 2, layer 1 (from 0). Expected: different experts."
        " Next: record again.",
    ),
    "no routing": (
        {"routed_experts": np.zeros((7, 3, 2), np.int16), "prompt_len": 1},
        "no layer routes a token. Got: expert 0 or none everywhere. Expected: the experts of each token."
        " Next: record again.",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_request_is_refused(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays, text = MALFORMED[case]
    assert refusal(tmp_path, capsys, save(tmp_path, 0, **arrays), "--experts", EXPERTS) == f"request_8.npz: {text}"


def test_a_file_of_another_kind_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "other.npz", tokens=np.ones(3))
    assert refusal(tmp_path, capsys, tmp_path / "other.npz", "--experts", EXPERTS) == (
        "other.npz: the file holds no requests of a known form. Got: tokens. Expected: routed_experts of one request;"
        " of several topk and length; LABEL and LABEL_len; or experts, choices and requests. Next: name another file,"
        " or export again."
    )


def test_requests_of_different_models_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path, 0, prompt_len=1)
    save(tmp_path, 1, prompt_len=1, routed_experts=ids_of(1)[:, 1:])
    assert refusal(tmp_path, capsys, tmp_path / "in", "--experts", EXPERTS) == (
        "request_9.npz: the request is of another model. Got: 2 layers, 2 choices. Expected: 3 layers, 2 choices as in"
        " request_8.npz. Next: convert one model at a time."
    )


def test_the_number_of_experts_is_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(tmp_path, capsys, save(tmp_path, 0, prompt_len=1)) == (
        "convert: --from vllm needs --experts. Got: none. Expected: a number. Next: give --experts N."
    )
