"""Request files and stacked arrays: written, read again, sliced, and refused by name when malformed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from lab.traces.request_files import (
    Request,
    read_domain,
    read_request,
    read_requests,
    read_stacked,
)
from lab_cases import ANCHORS, needs_anchors
from placement.errors import Problem

EXPERTS = 16


def _request(name: int | str = 7, prompt: int = 3, output: int = 2, seed: int = 0) -> Request:
    """A request of 2 layers and 4 of 16 experts."""
    rng = np.random.default_rng(seed)
    size = prompt + output
    routed = np.argsort(rng.random((size, 2, EXPERTS)), axis=2)[:, :, :4].astype(np.uint8)
    return Request(name, np.arange(prompt), np.arange(output) + 100, routed)


def _saved(path: Path, request: Request | None = None, **changes: object) -> Path:
    """A file of a request, by default a good one, with some of its arrays replaced; None leaves one out."""
    request = request or _request()
    arrays = {
        "request_id": np.array(request.request_id),
        "prompt_token_ids": request.prompt,
        "output_token_ids": request.output,
        "routed_experts": request.routed_experts,
    }
    np.savez(path, **{key: value for key, value in {**arrays, **changes}.items() if value is not None})
    return path


@pytest.mark.parametrize("name", [7, "chat-3"])
def test_a_request_is_read_as_it_was_written(tmp_path: Path, name: int | str) -> None:
    request = _request(name)
    _saved(tmp_path / "r.npz", request)
    again = read_request(tmp_path / "r.npz")
    assert again.request_id == name
    assert again.prompt.tolist() == [0, 1, 2] and again.output.tolist() == [100, 101]
    assert (again.routed_experts == request.routed_experts).all()


@pytest.mark.parametrize(("part", "tokens"), [("all", slice(0, 5)), ("prompt", slice(0, 3)), ("output", slice(3, 5))])
def test_a_part_has_the_tokens_of_prompt_or_output(tmp_path: Path, part: str, tokens: slice) -> None:
    _saved(tmp_path / "r.npz")
    trace = read_requests(tmp_path, EXPERTS, part)
    assert trace.choices.tolist() == _request().routed_experts[tokens].transpose(1, 0, 2).tolist()
    assert trace.choices.dtype == np.int32 and set(trace.requests.tolist()) == {7}


def test_a_folder_is_read_in_sorted_order_and_a_list_in_its_own(tmp_path: Path) -> None:
    for name, seed in (("b", 1), ("a", 2), ("c", 3)):
        _saved(tmp_path / f"{name}.npz", _request(seed, prompt=seed, output=0))
    assert read_requests(tmp_path, EXPERTS).requests.tolist() == [2, 2, 1, 3, 3, 3]
    assert read_requests(tmp_path, EXPERTS, max_requests=2).requests.tolist() == [2, 2, 1]
    files = [tmp_path / "c.npz", tmp_path / "b.npz"]
    assert read_requests(files, EXPERTS).requests.tolist() == [3, 3, 3, 1]
    assert read_requests(tmp_path / "b.npz", EXPERTS).requests.tolist() == [1]


@pytest.mark.parametrize("names", [("x", 1), (4, 4)])
def test_requests_without_distinct_numbers_are_numbered(tmp_path: Path, names: tuple) -> None:
    for index, name in enumerate(names):
        _saved(tmp_path / f"{index}.npz", _request(name, 1, 1))
    assert read_requests(tmp_path, EXPERTS).requests.tolist() == [0, 0, 1, 1]


def test_a_file_without_an_id_takes_its_place(tmp_path: Path) -> None:
    assert read_request(_saved(tmp_path / "r.npz", request_id=None), 5).request_id == 5
    assert read_request(_saved(tmp_path / "r.npz", request_id=np.array(["12"]))).request_id == 12


def test_layers_are_selected_and_those_left_out_may_hold_anything(tmp_path: Path) -> None:
    routed = _request().routed_experts
    routed[:, 0] = 0
    path = _saved(tmp_path / "r.npz", routed_experts=routed)
    trace = read_requests(path, EXPERTS, layers=[1])
    assert trace.layers == (1,) and trace.choices[0].tolist() == routed[:, 1].tolist()
    with pytest.raises(Problem, match=r"r\.npz: layer 0 has no right choices\. Got: token 0 chose expert 0 twice"):
        read_requests(path, EXPERTS)
    with pytest.raises(Problem, match=r"the file has other layers\. Got: 0 \.\. 1\. Expected: \[2\] among them"):
        read_requests(path, EXPERTS, layers=[2])


ROUTED = _request().routed_experts
REPEATED = np.concatenate([ROUTED[:, :, :3], ROUTED[:, :, :1]], axis=2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"routed_experts": ROUTED[:, 0]},
            r"routed_experts .* Got: shape \[5, 4\]\. Expected: 3 dimensions",
        ),
        (
            {"prompt_token_ids": np.zeros((1, 3), int)},
            r"prompt_token_ids .* shape \[1, 3\]\. Expected: 1 dimension",
        ),
        ({"routed_experts": None}, "Got: no routed_experts. Expected: an .npz of plain arrays"),
        ({"output_token_ids": None}, "Got: no output_token_ids"),
        ({"routed_experts": ROUTED[:4]}, "Got: 4 tokens. Expected: 3 of the prompt and 2 of the output"),
        ({"routed_experts": ROUTED + np.uint8(10)}, r"chose expert \d+\. Expected: 0 \.\. 15"),
        ({"routed_experts": ROUTED.astype(int) - 8}, r"chose expert -\d\. Expected: 0 \.\. 15"),
        ({"routed_experts": REPEATED}, r"layer 0 .* Got: token 0 chose expert \d+ twice"),
        ({"routed_experts": ROUTED.astype(float)}, "Got: dtype float64. Expected: integers"),
        (
            {"routed_experts": ROUTED.astype(object)},
            "Got: Object arrays cannot be loaded.* Expected: an .npz of plain",
        ),
        (
            {"routed_experts": np.array(None, object)},
            "Got: Object arrays cannot be loaded.* Expected: an .npz of plain",
        ),
        ({"request_id": np.arange(2)}, r"request_id has another form\. Got: shape \[2\]\. Expected: one value"),
    ],
)
def test_a_malformed_file_is_refused_by_name(tmp_path: Path, changes: dict, message: str) -> None:
    path = _saved(tmp_path / "bad.npz", **changes)
    with pytest.raises(Problem, match=message) as caught:
        read_requests(path, EXPERTS)
    assert str(path) in str(caught.value)


def test_what_is_no_zip_of_arrays_is_refused_by_name(tmp_path: Path) -> None:
    text, array, cut, other = (tmp_path / f"{name}.npz" for name in ("text", "array", "cut", "other"))
    text.write_text("no zip")
    with open(array, "wb") as file:
        np.save(file, np.zeros(3))
    whole = _saved(tmp_path / "whole.npz").read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 255
    (tmp_path / "damaged.npz").write_bytes(damaged)
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("routed_experts", "text")
    for path in (text, array, cut, other, tmp_path / "damaged.npz", tmp_path / "missing.npz"):
        with pytest.raises(Problem, match=path.name):
            read_requests(path, EXPERTS)


def test_arrays_that_are_not_needed_may_be_pickled(tmp_path: Path) -> None:
    assert read_requests(_saved(tmp_path / "r.npz", notes=np.array({"a": 1}, object)), EXPERTS).tokens == 5


def test_files_of_different_shapes_are_refused_by_name(tmp_path: Path) -> None:
    _saved(tmp_path / "a.npz")
    _saved(tmp_path / "b.npz", routed_experts=ROUTED[:, :, :3])
    with pytest.raises(Problem, match=r"b\.npz: .* Got: 2 layers of 3 experts\. Expected: 2 layers of 4 experts"):
        read_requests(tmp_path, EXPERTS)


def test_a_request_without_tokens_is_left_out_with_a_warning(tmp_path: Path) -> None:
    _saved(tmp_path / "a.npz", _request(output=0))
    _saved(tmp_path / "b.npz", _request(9))
    with pytest.warns(UserWarning, match=r"a\.npz has no routing of its output tokens"):
        assert read_requests(tmp_path, EXPERTS, "output").requests.tolist() == [9, 9]
    with pytest.warns(UserWarning, match="left out"), pytest.raises(Problem, match="none in 1 request files"):
        read_requests([tmp_path / "a.npz"], EXPERTS, "output")


def test_an_empty_folder_and_an_unknown_part_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="none in 0 request files"):
        read_requests(tmp_path, EXPERTS)
    with pytest.raises(ValueError, match="no part 'answer' of a request; expected one of all, prompt, output"):
        read_requests(tmp_path, EXPERTS, "answer")


def test_a_domain_is_read_with_its_requests(tmp_path: Path) -> None:
    path = tmp_path / "domains.npz"
    np.savez(path, law=ROUTED, law_len=np.array([2, 3]), bad=ROUTED, bad_len=np.array([2, 4]))
    trace = read_domain(path, "law", EXPERTS)
    assert trace.requests.tolist() == [0, 0, 1, 1, 1] and trace.choices.tolist() == ROUTED.transpose(1, 0, 2).tolist()
    part = read_domain(path, "law", EXPERTS, layers=[1], max_requests=1)
    assert part.layers == (1,) and part.choices[0].tolist() == ROUTED[:2, 1].tolist()
    with pytest.raises(Problem, match=r"bad_len does not fit. Got: sum 6. Expected: the 5 tokens of bad"):
        read_domain(path, "bad", EXPERTS)
    with pytest.raises(Problem, match="Got: no poetry, poetry_len"):
        read_domain(path, "poetry", EXPERTS)


def test_stacked_batches_are_read_with_their_origins(tmp_path: Path) -> None:
    choices = ROUTED.transpose(1, 0, 2)
    np.savez(tmp_path / "s.npz", topk_experts=choices, origin_rows=np.arange(10, dtype=np.uint8).reshape(2, 5))
    batches = read_stacked(tmp_path / "s.npz", EXPERTS)
    assert batches.starts.tolist() == [0, 5, 10] and batches.origins.tolist() == list(range(10))
    assert batches.choices.tolist() == choices.reshape(10, 4).tolist()
    with pytest.raises(Problem, match=r"origin_rows is out of range\. Got: 0 \.\. 9\. Expected: 0 \.\. 3"):
        read_stacked(tmp_path / "s.npz", EXPERTS, rows=4)
    with pytest.raises(Problem, match="chose expert"):
        read_stacked(tmp_path / "s.npz", 8)
    np.savez(tmp_path / "s.npz", topk_experts=choices, origin_rows=np.zeros((2, 4), int))
    with pytest.raises(Problem, match="do not fit"):
        read_stacked(tmp_path / "s.npz", EXPERTS)


@needs_anchors
def test_the_published_routing_is_read() -> None:
    trace = read_domain(ANCHORS / "esft_dsv2lite_topk.npz", "law", 64)
    assert trace.choices.shape == (26, 8327, 6) and len(set(trace.requests.tolist())) == 33
    batches = read_stacked(ANCHORS / "routing_q.npz", 256)
    assert batches.count == 50 and batches.choices.shape == (51_200, 8) and batches.origins.max() == 15
