"""Requests of every form: read alike by `kit.py convert` and by the lab, and refused by name when malformed."""

from __future__ import annotations

import base64
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from placement.errors import OrganizerError
from traces.conversion.routed_files import request_files, routed_requests
from traces.conversion.routed_tokens import RoutedTokens, Stated, layers_of, part_of, without_padding
from traces.conversion.survey import checked, survey

# Three tokens of the prompt and two of the output, two layers, two of eight experts.
IDS = np.array([[[1, 2], [3, 4]], [[5, 6], [7, 1]], [[2, 3], [4, 5]], [[6, 7], [1, 2]], [[3, 1], [5, 2]]], np.int16)
NOTHING = Stated()
PROMPT, OUTPUT = {"prompt_token_ids": np.arange(3)}, {"output_token_ids": np.arange(2)}


def packed(ids: np.ndarray, dtype: str = "<i4") -> str:
    return base64.b64encode(ids.astype(dtype).tobytes()).decode()


def steps(*passes: np.ndarray) -> list[dict[str, Any]]:
    """Passes of [token, layer, choice], the layers 3 and 5; 0 is dense."""
    return [{"0": None, "5": ids[:, 1].tolist(), "3": ids[:, 0].tolist()} for ids in passes]


def lines(ids: np.ndarray, **fields: object) -> list[dict[str, Any]]:
    return [
        {"layer": layer, "token_idx": token, "topk_ids": ids[token, layer].tolist(), "topk_weights": [0.5, 0.5]}
        | fields
        for layer in range(ids.shape[1])
        for token in range(len(ids))
    ]


def written(folder: Path, content: Any, name: str = "r") -> Path:
    """A file of the form that the content has: arrays, lines of JSON after the word "lines", or JSON."""
    if isinstance(content, np.ndarray):
        np.save(folder / f"{name}.npy", content)
        return folder / f"{name}.npy"
    if isinstance(content, dict) and any(isinstance(value, np.ndarray) for value in content.values()):
        np.savez(folder / f"{name}.npz", **content)
        return folder / f"{name}.npz"
    many = isinstance(content, list) and content[:1] == ["lines"]
    path = folder / (f"{name}.jsonl" if many else f"{name}.json")
    text = "\n".join(map(json.dumps, content[1:])) if many else json.dumps(content)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def read(path: Path, stated: Stated = NOTHING) -> list[RoutedTokens]:
    return list(routed_requests(request_files([path]), stated))


# What is read of each: the tokens, the prompt's length, the layers' numbers.
FORMS = {
    "vLLM, without the last token": ({"routed_experts": IDS, **PROMPT, "output_token_ids": np.arange(3)}, 5, 3, (0, 1)),
    "with the last token": ({"routed_experts": IDS, **PROMPT, **OUTPUT}, 5, 3, (0, 1)),
    "prompt and output apart": ({"prompt_routed_experts": IDS[:3], "routed_experts": IDS[3:]}, 5, 3, (0, 1)),
    "a prompt alone": ({"prompt_routed_experts": IDS[:3], "output_token_ids": np.arange(1)}, 3, 3, (0, 1)),
    "ids alone": (IDS, 5, None, (0, 1)),
    "SGLang's answer": (
        {"meta_info": {"prompt_tokens": 3, "completion_tokens": 3, "routed_experts": packed(IDS)}},
        *(5, 3, (0, 1)),
    ),
    "vLLM's answer": (
        {
            "prompt_routed_experts": IDS[:3].tolist(),
            "usage": {"prompt_tokens": 3, "completion_tokens": 3},
            "choices": [
                {"routed_experts": {"data": packed(IDS[3:], "<i2"), "dtype": "int16", "shape": [2, 2, 2]}},
            ],
        },
        *(5, 3, (0, 1)),
    ),
    "several answers": ([{"routed_experts": IDS.tolist(), "prompt_len": 3}], 5, 3, (0, 1)),
    "a list of passes": (steps(IDS[:3], IDS[3:4], IDS[4:]), 5, 3, (3, 5)),
    "a token on each line, in shorter words": (
        ["lines", *({"token": row["token_idx"], "layer": row["layer"], "topk": row["topk_ids"]} for row in lines(IDS))],
        5,
        None,
        (0, 1),
    ),
    "a token on each line": (["lines", {"type": "meta", "top_k": 2}, *lines(IDS, type="route")], 5, None, (0, 1)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_tokens(form: str, tmp_path: Path) -> None:
    content, tokens, prompt, layers = FORMS[form]
    requests = read(written(tmp_path, content), Stated(top_k=2))
    found = survey(requests)
    (request,) = checked(requests, found, 8)
    assert request.ids.tolist() == IDS[:tokens].tolist()
    assert (request.prompt, request.layers) == (prompt, layers)


def test_many_requests_of_one_file_are_told_apart(tmp_path: Path) -> None:
    path = written(tmp_path, {"topk": IDS, "length": np.array([2, 3]), "category": np.array(["a", "b"])})
    assert [request.ids.tolist() for request in read(path)] == [IDS[:2].tolist(), IDS[2:].tolist()]
    assert [request.ids.tolist() for request in read(path, Stated(label="b"))] == [IDS[2:].tolist()]
    with pytest.raises(
        OrganizerError, match=r"no request has this label. Got: a, b. Expected: 'c'. Next: name an existing label"
    ):
        read(path, Stated(label="c"))
    rows = ["lines", *lines(IDS[:2], req_id="b"), *lines(IDS[2:], req_id="a")]
    assert [(r.name, len(r.ids)) for r in read(written(tmp_path, rows, "lines"))] == [("b", 2), ("a", 3)]


@pytest.mark.parametrize("stored", [IDS, np.asfortranarray(IDS), IDS.astype(">u2")])
def test_a_file_of_many_is_read_in_any_layout(stored: np.ndarray, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "r.npz", a=stored, a_len=[2, 0, 3], b=stored[:1], b_len=[1], c=stored[:0], c_len=[0])
    assert [(request.ids.tolist(), request.label) for request in read(tmp_path / "r.npz")] == [
        (IDS[:2].tolist(), "a"),
        ([], "a"),
        (IDS[2:].tolist(), "a"),
        (IDS[:1].tolist(), "b"),
        ([], "c"),
    ]
    np.savez(tmp_path / "r.npz", c=stored[:0], c_len=[0])
    with pytest.raises(OrganizerError, match=r"the choices have another form. Got: .* \[0, 2, 2\]. Expected: integers"):
        read(tmp_path / "r.npz")


def test_a_file_of_many_is_not_held_and_its_damage_is_found(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).permuted(np.tile(np.arange(8, dtype=np.uint8), (50_000, 2, 1)), axis=2)
    np.savez(tmp_path / "r.npz", topk=ids, length=np.full(500, 100))
    tracemalloc.start()
    assert sum(request.ids.sum() for request in routed_requests([tmp_path / "r.npz"], NOTHING)) == ids.sum()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < ids.nbytes / 2
    content = bytearray((tmp_path / "r.npz").read_bytes())
    content[400_000] ^= 1
    (tmp_path / "r.npz").write_bytes(content)
    with pytest.raises(OrganizerError, match=r"^r\.npz: the file cannot be read\. Got: BadZipFile: Bad CRC-32"):
        read(tmp_path / "r.npz")


def test_layers_in_files_of_their_own_are_one_request(tmp_path: Path) -> None:
    for layer in range(2):
        rows = [{**row, "layer": layer} for row in lines(IDS[:, layer : layer + 1])]
        written(tmp_path, ["lines", *rows], f"moe_layer{layer}")
    (request,) = read(tmp_path)
    assert request.ids.tolist() == IDS.tolist()


def test_settings_beside_requests_are_not_read(tmp_path: Path) -> None:
    written(tmp_path, {"routed_experts": IDS, "prompt_len": np.array(3), "request_id": np.array(7)})
    written(tmp_path, {"seed": 1}, "run")
    assert [request.name for request in read(tmp_path)] == [7]


def test_parts_and_layers_of_a_request(tmp_path: Path) -> None:
    (request,) = read(written(tmp_path, steps(IDS[:3], IDS[3:4], IDS[4:])))
    assert part_of(request, "prompt").ids[:, 1:].tolist() == IDS[:3].tolist()
    assert part_of(request, "output").ids[:, 1:].tolist() == IDS[3:].tolist()
    assert layers_of(request, [5]).ids.tolist() == IDS[:, 1:].tolist()
    # The null layer is there, and dense.
    assert survey([layers_of(request, [0, 5])]).layers == (5,)
    with pytest.raises(OrganizerError, match=r"the file has other layers. Got: layers 0, 3, 5. Expected: 4 among them"):
        layers_of(request, [0, 4, 5])
    with pytest.raises(OrganizerError, match="the prompt's length is not known"):
        part_of(request._replace(prompt=None), "output")


def request(ids: np.ndarray, prompt: int | None = 3) -> RoutedTokens:
    return RoutedTokens(ids.astype(np.int64), prompt, None, tuple(range(ids.shape[1])), "r.npz")


def test_dense_layers_are_left_out_and_what_remains_keeps_its_number() -> None:
    dense = np.concatenate([np.zeros((5, 1, 2), int), np.full((5, 1, 2), -1), IDS], axis=1)
    found = survey([request(dense)])
    assert found.layers == (2, 3) and found.notes == ["dense layers left out: 0 .. 1 of 0 .. 3; 2 layers remain"]
    (kept,) = checked([request(dense)], found, 8)
    assert kept.ids.tolist() == IDS.tolist() and kept.layers == (2, 3)


def test_rows_that_stand_for_no_token_are_left_out() -> None:
    none, zeros = np.full((1, 2, 2), -1), np.zeros((2, 2, 2), int)
    padded = request(np.concatenate([none, IDS, zeros]), prompt=4)
    kept = without_padding(padded)
    assert kept.ids.tolist() == IDS.tolist() and kept.prompt == 3
    assert survey([padded]).notes == ["3 rows of padding left out: no expert, or at the end expert 0, in every layer"]
    # With one choice, expert 0 is an expert.
    assert without_padding(request(np.zeros((5, 1, 1), int))).ids.shape == (5, 1, 1)


@pytest.mark.parametrize("choices", [2, 1])
def test_a_prompt_that_was_never_filled_is_refused(choices: int) -> None:
    ids = IDS[..., :choices].copy()
    ids[:3] = 0
    with pytest.raises(OrganizerError, match=r"rows of a request were never filled. Got: 3 tokens with expert 0 in"):
        survey([request(ids)])


def test_requests_without_a_token_are_left_out_with_a_note(tmp_path: Path) -> None:
    written(tmp_path, [{"routed_experts": IDS.tolist(), "prompt_len": 3}, {"routed_experts": None}])
    found = survey(read(tmp_path))
    assert found.rows == [5] and found.notes == ["1 request without a token left out"]
    with pytest.raises(OrganizerError, match=r"there is no routing. Got: none in 1 request"):
        survey(read(tmp_path)[1:])


def test_requests_of_different_models_are_refused() -> None:
    with pytest.raises(OrganizerError, match=r"of another model. Got: layers 1, 2. Expected: layers 0, 1 as in r.npz"):
        survey([request(IDS), request(IDS)._replace(layers=(1, 2))])


MALFORMED = [
    (
        {"routed_experts": IDS, **PROMPT, "output_token_ids": np.arange(4)},
        "routed_experts has other tokens. Got: 5 tokens. Expected: 3 of the prompt and 4 of the output, or one less",
    ),
    (
        {"prompt_routed_experts": IDS[:2], **PROMPT},
        "prompt_routed_experts has other tokens. Got: 2 tokens. Expected: 3",
    ),
    (
        {"prompt_routed_experts": IDS[:2], "routed_experts": IDS[2:, :1]},
        "routed_experts does not fit prompt_routed_exp",
    ),
    (
        {"routed_experts": IDS, "request_id": np.arange(2)},
        r"request_id has the wrong form. Got: \[0, 1\]. Expected: one",
    ),
    ({"routed_experts": IDS, "prompt_len": np.array(True)}, "prompt_len has the wrong form. Got: True"),
    ({"routed_experts": IDS / 1}, r"routed_experts has the wrong form. Got: shape \[5, 2, 2\], dtype float64"),
    ({"meta_info": {"routed_experts": "%"}}, "routed_experts is not base64"),
    (
        {"meta_info": {"routed_experts": packed(IDS)}},
        "has no known shape. Got: 20 ids in a row, and no numbers of prompt_t",
    ),
    (
        {"meta_info": {"prompt_tokens": 2, "completion_tokens": 2, "routed_experts": packed(IDS)}},
        "routed_experts does not fit. Got: 20 ids. Expected: a multiple of 3 tokens x 2 experts",
    ),
    (
        [{"3": [[1, 2]]}, {"4": [[1, 2]]}],
        r"r.json, pass 1: a pass has the wrong form. Got: layers \[4\], experts \[2\]",
    ),
    ([{"3": [[1, 2]], "4": [[1, 2]] * 2}], "r.json, pass 0: a pass's layers do not fit together. Got: 1 and 2 tokens"),
    (
        [{"3": [[1, 2], [1]]}],
        "r.json, pass 0, layer 3: the choices has the wrong form. Got: lists of different lengths",
    ),
    ([{"3": [[1.5, 2]]}], r"r.json, pass 0, layer 3: .* dtype float64. Expected: integers \[token, choice\]"),
    ([{"3": [[True, 2]]}], "r.json: the file has a boolean"),
    ([{"three": [[1, 2]]}], "r.json, pass 0: a pass has a key that is not a layer. Got: 'three'"),
    ([{"3": None}], "r.json, pass 0: a pass's layers do not fit together. Got: no layer with experts"),
    ([], "r.json: the file holds no pass"),
    (7, "r.json: the file holds no requests. Got: an int"),
    (["lines", {"layer": 0, "topk_ids": [1, True]}], "r.jsonl, line 1: topk_ids has the wrong form"),
    (["lines", {"layer": True, "topk_ids": [1, 2]}], "r.jsonl, line 1: layer is no number. Got: True"),
    (["lines", {"layer": 0, "experts": [1, 2]}], "r.jsonl, line 1: the line has other keys. Got: layer, experts"),
    (
        ["lines", *lines(IDS[:1]), *lines(IDS[:1])],
        "r.jsonl, line 3: a token is there twice. Got: token 0 of request None",
    ),
    (["lines", *lines(IDS)[1:]], "request None: a request's layers have other tokens. Got: 5 in layer 1"),
    (["lines", {"type": "meta"}], "r.jsonl, line 1: the file holds no routing"),
    (
        {"logical_count": IDS},
        "r.npz: the file holds no requests of a known form. Got: logical_count. Expected: routed_e",
    ),
]


@pytest.mark.parametrize(("content", "words"), MALFORMED)
def test_a_malformed_file_is_refused_with_the_place(content: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(OrganizerError, match=words):
        read(written(tmp_path, content), Stated(top_k=2))


def test_files_of_several_forms_are_refused(tmp_path: Path) -> None:
    paths = [written(tmp_path, ["lines", *lines(IDS)]), written(tmp_path, IDS, "ids")]
    with pytest.raises(OrganizerError, match=r"JSON lines lie among other files. Got: .jsonl, .npy"):
        list(routed_requests(request_files(paths), Stated()))
