"""The folder of a trace: written whole, a layer at a time, and refused with file and layer where it is not right."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lab.traces.routing_trace import RoutingTrace
from lab.traces.trace_file import load_trace, save_trace
from placement.errors import Problem
from traces.conversion.routing_folder import RoutingHead, RoutingWriter, read_labels

CHOICES = np.array([[[0, 1], [2, 300], [5, 1]], [[1, 0], [4, 2], [3, 1]]])
TRACE = RoutingTrace(301, (3, 5), CHOICES, np.array([7, 7, 9]), np.array([0, 1, 0]))


def test_a_trace_is_read_as_it_was_written_in_the_smallest_integers(tmp_path: Path) -> None:
    save_trace(tmp_path / "t", TRACE)
    again = load_trace(tmp_path / "t")
    assert (again.experts, again.layers, again.choices.shape) == (301, (3, 5), (2, 3, 2))
    assert np.asarray(again.choices).tolist() == CHOICES.tolist()
    assert again.requests.tolist() == [7, 7, 9] and again.origins.tolist() == [0, 1, 0]
    assert sorted(os.listdir(tmp_path / "t")) == [
        *("layer_003.npy", "layer_005.npy", "origins.npy", "requests.npy", "trace.json")
    ]
    assert np.load(tmp_path / "t" / "layer_003.npy").dtype == np.uint16
    save_trace(tmp_path / "t", RoutingTrace(6, (3, 5), CHOICES % 6, np.zeros(3, int)))
    assert np.load(tmp_path / "t" / "layer_003.npy").dtype == np.uint8 and load_trace(tmp_path / "t").origins is None


def test_layers_and_tokens_are_taken_as_of_an_array(tmp_path: Path) -> None:
    save_trace(tmp_path / "t", TRACE)
    layers = load_trace(tmp_path / "t").choices
    for index in (1, -1, slice(1, None), [1, 0], (slice(None), [2, 0]), (0, [True, False, True]), ([1], slice(1))):
        taken, expected = layers[index], CHOICES[index]
        assert np.asarray(taken).tolist() == expected.tolist() and taken.shape == expected.shape, index
    assert [layer.tolist() for layer in layers] == CHOICES.tolist() and len(layers) == 2
    with pytest.raises(IndexError):
        layers[2]


def test_batches_of_a_written_trace_are_those_of_the_array(tmp_path: Path) -> None:
    save_trace(tmp_path / "t", TRACE)
    cut, expected = (trace.batches(1, 2, 4, seed=3) for trace in (load_trace(tmp_path / "t"), TRACE))
    assert cut.choices.dtype == np.int32 and (cut.choices == expected.choices).all()
    assert (cut.origins == expected.origins).all() and cut.starts.tolist() == [0, 2, 3]
    assert load_trace(tmp_path / "t").batches(1, 2, 4, seed=3, most=1).choices.tolist() == expected.choices[:2].tolist()


def test_equal_traces_have_equal_digests_and_others_not(tmp_path: Path) -> None:
    heads = []
    for requests in ([7, 7, 9], [7, 7, 9], [7, 8, 9]):
        save_trace(tmp_path / "t", RoutingTrace(301, (3, 5), CHOICES, np.array(requests)))
        heads.append((tmp_path / "t" / "trace.json").read_bytes())
    save_trace(tmp_path / "t", TRACE, {7: "law", 9: "arts"})
    heads.append((tmp_path / "t" / "trace.json").read_bytes())
    assert heads[0] == heads[1] and len(set(heads)) == 3


def _write_one_token(path: Path, head: RoutingHead) -> None:
    with RoutingWriter(path, head) as writer:
        writer.add(0, CHOICES[0, :1])
        writer.finish(np.zeros(3, int))


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    head = RoutingHead(301, (3,), 3, 2)
    for before in ([], ["t"]):
        with pytest.raises(ValueError, match=r"layers of \[1\] tokens; expected 3 in each"):
            _write_one_token(tmp_path / "t", head)
        assert os.listdir(tmp_path) == before
        save_trace(tmp_path / "t", TRACE)
    assert load_trace(tmp_path / "t").layers == (3, 5)


def test_what_is_no_trace_is_not_replaced_and_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "precious").write_bytes(b"data")
    (tmp_path / "link").symlink_to("other")
    (tmp_path / "file").write_bytes(b"data")
    for name in ("other", "link", "file"):
        with pytest.raises(
            Problem, match=f"the output is something else. Got: .*{name}. Expected: a new name, or the f"
        ):
            save_trace(tmp_path / name, TRACE)
    (tmp_path / ".t.part").symlink_to("other")
    save_trace(tmp_path / "t", TRACE)
    assert (tmp_path / "other" / "precious").read_bytes() == b"data" and (tmp_path / "file").read_bytes() == b"data"


def head_with(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        fields = json.loads((folder / "trace.json").read_text())
        (folder / "trace.json").write_text(json.dumps(fields | changes))

    return change


def layer_with(values: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / "layer_005.npy", values)


def text(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text("no array")


WRONG = [
    (text("trace.json"), "trace.json: the file cannot be read"),
    (head_with(format=2), "t/trace.json: the trace has the wrong form. Got: format 2. Expected: format 1."),
    (head_with(experts=True), "t/trace.json: experts is no number. Got: True. Expected: an integer from 1."),
    (head_with(tokens=3.0), "t/trace.json: tokens is no number. Got: 3.0."),
    (head_with(layers=[3, True]), r"t/trace.json: layers has the wrong form. Got: \[3, True\]."),
    (head_with(layers=[3, 3]), r"t/trace.json: a layer is there twice. Got: \[3, 3\]. Expected: each once."),
    (head_with(layers=[3, 6]), r"t/layer_006.npy: the file cannot be read. Got: no file. Expected: an array \[3, 2\]."),
    (
        head_with(experts=300),
        r"t/layer_003.npy: the layer has no right choices. Got: token 1 chose expert 300. Expected",
    ),
    (text("layer_005.npy"), "t/layer_005.npy: the file cannot be read."),
    (
        layer_with(CHOICES[1] + 0.5),
        r"t/layer_005.npy: the array has the wrong form. Got: float64 \[3, 2\]. Expected: int",
    ),
    (layer_with(CHOICES[1] * np.nan), r"t/layer_005.npy: the array has the wrong form. Got: float64 \[3, 2\]."),
    (layer_with(CHOICES[1] > 1), r"t/layer_005.npy: the array has the wrong form. Got: bool \[3, 2\]."),
    (
        layer_with(CHOICES[1, :2]),
        r"t/layer_005.npy: the array has the wrong form. Got: int64 \[2, 2\]. Expected: integer",
    ),
    (layer_with(-CHOICES[1]), r"t/layer_005.npy: the layer has no right choices. Got: token 0 chose expert -1. Expect"),
    (layer_with(CHOICES[1] * 0), "t/layer_005.npy: the layer has no right choices. Got: token 0 chose expert 0 twice."),
    (
        lambda folder: np.save(folder / "requests.npy", np.zeros(2, int)),
        r"t/requests.npy: the array has the wrong form.",
    ),
    (lambda folder: np.save(folder / "origins.npy", -np.ones(3, int)), "t/origins.npy: an origin row is out of range."),
]


@pytest.mark.parametrize(("change", "words"), WRONG)
def test_a_folder_that_is_not_right_is_refused_with_the_file(change: Callable, words: str, tmp_path: Path) -> None:
    save_trace(tmp_path / "t", TRACE)
    change(tmp_path / "t")
    with pytest.raises(Problem, match=words) as refused:
        np.asarray(load_trace(tmp_path / "t").choices)
    assert str(refused.value).endswith("Next: write the trace again, with `python -m lab import` or `generate`.") or (
        "cannot be read" in words
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[", "labels.json: the file cannot be read"),
        (
            '["law"]',
            r"t/labels.json: the labels have another form. Got: \['law'\]. Expected: a text for each",
        ),
        ('{"7": 1}', r"t/labels.json: the labels have another form. Got: \{'7': 1\}."),
        ('{"7": "law"}', "t/labels.json: a request has no label. Got: request 9. Expected: a label for each."),
    ],
)
def test_labels_that_are_not_right_are_refused(content: str, words: str, tmp_path: Path) -> None:
    save_trace(tmp_path / "t", TRACE)
    assert read_labels(tmp_path / "t", [7, 9]) is None
    (tmp_path / "t" / "labels.json").write_text(content)
    with pytest.raises(Problem, match=words):
        read_labels(tmp_path / "t", [7, 9])


def test_a_folder_without_a_trace_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(Problem, match="there is no trace"):
            load_trace(path)


# One file, as earlier versions wrote it.
OLD = {"experts": np.array(301), "layers": np.array([3, 5]), "choices": CHOICES, "requests": np.zeros(3, int)}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"choices": CHOICES + 0.5},
            r"choices has the wrong form. Got: float64 \[2, 3, 2\]. Expected: integers, 3-dim",
        ),
        ({"choices": CHOICES * np.nan}, "choices has the wrong form. Got: float64"),
        ({"choices": CHOICES.astype(str)}, "choices has the wrong form. Got: <U"),
        ({"experts": np.array(300.0)}, "experts has the wrong form. Got: float64"),
        ({"experts": np.array(True)}, "experts has the wrong form. Got: bool"),
        ({"layers": np.array([3, 3])}, r"the trace is not right. Got: the layers \[3, 3\] are not distinct"),
        ({"experts": np.array(300)}, "the trace is not right. Got: layer 3: token 1 chose expert 300"),
        ({"requests": np.zeros(2, int)}, "the trace is not right. Got: requests have the shape"),
    ],
)
def test_one_file_that_is_not_right_is_refused_by_name(changes: dict, words: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "old.npz", **{**OLD, **changes})
    with pytest.raises(Problem, match=f"old.npz: {words}"):
        load_trace(tmp_path / "old.npz")
