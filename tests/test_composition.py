"""Hotness composed of recorded requests: what is read of a file, who comes when, and what is counted."""

from __future__ import annotations

import shlex
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import kit
from docs import COMMANDS, ROOT, blocks
from lab.commands.main import main as lab_main
from lab.traces.routing_trace import RoutingTrace
from lab.traces.sources import Wanted, import_source
from lab.traces.trace_file import save_trace
from placement.errors import OrganizerError
from traces.composition.request_file import Requests, read_requests
from traces.composition.stream import Composition, compose
from traces.composition.topics import Topics, grouped_topics, label_topics, read_words
from traces.composition.weights import COURSES

# Two layers, four experts, two choices. Request 0 has two tokens, request 1 has three.
CHOICES = np.array(
    [
        [[0, 1], [2, 3]],
        [[0, 2], [2, 1]],
        [[3, 1], [0, 1]],
        [[3, 2], [0, 2]],
        [[3, 0], [0, 3]],
    ],
    np.uint8,
)
LENGTHS = np.array([2, 3])
REQUESTS = Requests(CHOICES, LENGTHS, ("law/a", "maths/b"), 4)
# The rows of each token, counted by hand.
ROWS = [
    [[1, 1, 0, 0], [0, 0, 1, 1]],
    [[1, 0, 1, 0], [0, 1, 1, 0]],
    [[0, 1, 0, 1], [1, 1, 0, 0]],
    [[0, 0, 1, 1], [1, 0, 1, 0]],
    [[1, 0, 0, 1], [1, 0, 0, 1]],
]
FORMS = {
    "topk": {"topk": CHOICES, "length": LENGTHS, "category": np.array(["law/a", "maths/b"])},
    "labels": {"law": CHOICES[:2], "law_len": LENGTHS[:1], "maths": CHOICES[2:], "maths_len": LENGTHS[1:]},
    # What the lab writes of two requests that take turns.
    "lab": {
        "experts": np.array(6),
        "layers": np.arange(2),
        "choices": CHOICES[[2, 0, 3, 1, 4]].transpose(1, 0, 2).astype(np.uint16),
        "requests": np.array([9, 4, 9, 4, 9]),
    },
}


def many(count: int, length: int) -> tuple[Requests, Topics]:
    """Requests of two topics, half of each, which choose different experts in the one layer that there is."""
    halves = np.repeat([[[[0]]], [[[1]]]], count * length // 2, axis=0).reshape(-1, 1, 1)
    labels = ("a",) * (count // 2) + ("b",) * (count // 2)
    return Requests(halves, np.full(count, length), labels, 2), label_topics(labels)


def refusal(path: Path, **arrays: np.ndarray) -> str:
    np.savez(path / "routing.npz", **arrays)
    with pytest.raises(OrganizerError) as refused:
        read_requests(path / "routing.npz")
    return str(refused.value)


@pytest.mark.parametrize(
    ("form", "labels", "experts"),
    [("topk", ("law/a", "maths/b"), 4), ("labels", ("law", "maths"), 4), ("lab", ("4", "9"), 6)],
)
def test_a_file_of_each_form_is_read(tmp_path: Path, form: str, labels: tuple[str, ...], experts: int) -> None:
    np.savez(tmp_path / "routing.npz", **FORMS[form])
    read = read_requests(tmp_path / "routing.npz")
    assert np.array_equal(read.choices, CHOICES) and read.lengths.tolist() == [2, 3]
    assert (read.labels, read.experts) == (labels, experts)


def test_the_form_of_the_lab_is_what_the_lab_writes(tmp_path: Path) -> None:
    lab = FORMS["lab"]
    save_trace(tmp_path / "lab.npz", RoutingTrace(6, (0, 1), lab["choices"].astype(int), lab["requests"]))
    read = read_requests(tmp_path / "lab.npz")
    assert np.array_equal(read.choices, CHOICES) and read.lengths.tolist() == [2, 3] and read.experts == 6


@pytest.mark.parametrize("file", ["topk", "labels", {"topk": CHOICES, "length": np.array([2, 0, 3])}])
def test_the_folder_that_the_lab_makes_of_a_file_gives_the_same_requests(tmp_path: Path, file: str | dict) -> None:
    np.savez(tmp_path / "routing.npz", **(FORMS[file] if isinstance(file, str) else file))
    import_source(tmp_path / "routing.npz", 4, Wanted(), tmp_path / "folder")
    of_file, of_folder = (read_requests(tmp_path / name) for name in ("routing.npz", "folder"))
    assert np.array_equal(of_file.choices, of_folder.choices) and of_folder.lengths.tolist() == [2, 3]
    assert (of_folder.labels, of_folder.experts) == (of_file.labels, 4)


def test_the_labs_recipe_scores_a_plan_on_traces_composed_of_the_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "starting_kit").mkdir()
    (tmp_path / "starting_kit" / "traces").symlink_to(ROOT / "starting_kit" / "traces")
    monkeypatch.chdir(tmp_path / "starting_kit")
    routed = np.random.default_rng(0).random((600, 24, 32)).argsort(axis=2)[..., :4].astype(np.uint8)
    np.savez("../routing.npz", topk=routed, length=np.full(30, 20), category=np.repeat(["a", "b"], 15))
    lines = blocks("starting_kit/lab/README.md")[1].splitlines()
    assert len(lines) == 8 and all(COMMANDS.match(line) for line in lines)
    for line in lines:
        _, *words = shlex.split(line.removeprefix("(cd starting_kit && ").removesuffix(")"))
        # The grid's window is 1024.
        words = ["1032" if word == "2304" else word for word in words]
        assert (lab_main(words[2:]) if words[:2] == ["-m", "lab"] else kit.main(words[1:])) == 0, line
    assert capsys.readouterr().out.splitlines()[-1].startswith("mean case score over 3 of 6 cases: ")
    assert "composed: recorded requests of routing (sha256 " in Path("../output/lab/reference/ds_eplb.json").read_text()


def test_requests_without_a_token_are_left_out_and_those_without_a_label_are_their_own(tmp_path: Path) -> None:
    np.savez(tmp_path / "routing.npz", topk=CHOICES, length=[2, 0, 3])
    read = read_requests(tmp_path / "routing.npz")
    assert read.lengths.tolist() == [2, 3] and read.labels == ("0", "2")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"length": np.array([2, 2])},
            "the lengths do not fit. Got: lengths of 4 tokens together, the smallest 2. Expected: the 5 ",
        ),
        (
            {"length": np.array([6, -1])},
            "the lengths do not fit. Got: lengths of 5 tokens together, the smallest -1. Expected: the 5 ",
        ),
        (
            {"length": np.array(["2", "3"])},
            "length has the wrong form. Got: <U1 [2]. Expected: one integer after another.",
        ),
        ({"category": np.array(["law"])}, "the labels do not fit. Got: 1. Expected: one for each of 2 requests. "),
        ({"topk": CHOICES[:, 0]}, "the choices have another form. Got: uint8 [5, 2]. Expected: integers [token, la"),
        ({"topk": CHOICES * 0.5}, "the choices have another form. Got: float64 [5, 2, 2]. Expected: integers [toke"),
        ({"topk": CHOICES.astype(int) - 1}, "an expert is out of range. Got: experts -1 .. 2. Expected: 0 .. 2. "),
        ({"topk": CHOICES // 2}, "a token chooses an expert twice. Got: token 0, layer 0: [0, 0]. Expected: diffe"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, np.ndarray], words: str) -> None:
    assert refusal(tmp_path, **{**FORMS["topk"], **changes}).startswith(f"routing.npz: {words}")


@pytest.mark.parametrize(
    ("form", "changes", "words"),
    [
        ("lab", {"experts": np.array([6, 6])}, "experts has the wrong form. Got: int64 [2]. Expected: one integer."),
        ("lab", {"experts": np.array("six")}, "experts has the wrong form. Got: <U3 []. Expected: one integer."),
        (
            "labels",
            {"law": np.array(0)},
            "law has the wrong form. Got: int64 []. Expected: integers [token, layer, k].",
        ),
    ],
)
def test_an_array_of_another_form_is_named(
    tmp_path: Path, form: str, changes: dict[str, np.ndarray], words: str
) -> None:
    refused = refusal(tmp_path, **{**FORMS[form], **changes})
    assert refused == f"routing.npz: {words} Next: export the file again, or name another."


def test_files_of_other_forms_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, hotness=np.zeros(3)) == (
        "routing.npz: the file holds no requests of a known form. Got: hotness. "
        "Expected: topk and length; LABEL and LABEL_len; or experts, choices and requests. "
        "Next: export the file again, or name another."
    )
    words = "routing.npz: law_len does not fit. Got: 3 tokens. Expected: the 2 tokens of law. "
    assert refusal(tmp_path, **{**FORMS["labels"], "law_len": LENGTHS[1:]}).startswith(words)
    words = "routing.npz: the labels are of different models. Got: law [2, 1, 2], maths [3, 2, 2]. "
    assert refusal(tmp_path, **{**FORMS["labels"], "law": CHOICES[:2, :1]}).startswith(words)
    words = "routing.npz: choices and requests do not fit. Got: [2, 5, 2]. Expected: [layer, 4 tokens, k]. "
    assert refusal(tmp_path, **{**FORMS["lab"], "requests": np.arange(4)}).startswith(words)
    words = "routing.npz: an expert is out of range. Got: experts 0 .. 3. Expected: 0 .. 2. "
    assert refusal(tmp_path, **{**FORMS["lab"], "experts": np.array(3)}).startswith(words)
    assert "holds pickled objects" in refusal(tmp_path, topk=np.array([{}]), length=LENGTHS)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(OrganizerError, match=r"^text\.npz: the file "):
        read_requests(tmp_path / "text.npz")


def test_one_request_repeats_itself() -> None:
    alone = Requests(CHOICES[:2], LENGTHS[:1], ("law/a",), 4)
    trace = compose(alone, label_topics(alone.labels), Composition(in_flight=1), 5, seed=1)
    assert trace.dtype == np.int32 and trace.tolist() == [ROWS[0], ROWS[1], ROWS[0], ROWS[1], ROWS[0]]
    # Two that begin together stay together.
    pair = compose(alone, label_topics(alone.labels), Composition(in_flight=2), 5, seed=1)
    assert np.array_equal(pair, 2 * trace)


def test_with_one_in_flight_requests_follow_one_another_whole() -> None:
    trace = compose(REQUESTS, label_topics(REQUESTS.labels), Composition(in_flight=1), 300, seed=1).tolist()
    lives, t = [], 0
    while t < len(trace):
        lives.append(0 if trace[t] == ROWS[0] else 1)
        tokens = ROWS[:2] if lives[-1] == 0 else ROWS[2:]
        assert trace[t : t + len(tokens)] == tokens[: len(trace) - t]
        t += len(tokens)
    assert 40 < sum(lives) < len(lives) - 40


def test_several_tokens_an_iteration_end_with_what_is_left_and_long_requests_are_cut() -> None:
    longer = Requests(CHOICES[2:], LENGTHS[1:], ("maths/b",), 4)
    topics = label_topics(longer.labels)
    trace = compose(longer, topics, Composition(in_flight=1, tokens=2), 4, seed=1)
    first, last = np.array(ROWS[2]) + ROWS[3], ROWS[4]
    assert trace.tolist() == [first.tolist(), last, first.tolist(), last]
    cut = compose(longer, topics, Composition(in_flight=1, longest=2), 3, seed=1)
    assert cut.tolist() == [ROWS[2], ROWS[3], ROWS[2]]


@pytest.mark.parametrize("weights", COURSES)
def test_the_counts_are_those_of_an_obvious_loop(weights: str) -> None:
    topics = label_topics(REQUESTS.labels)
    trace = compose(REQUESTS, topics, Composition(weights, (4, 9), in_flight=3, tokens=2), 40, seed=5)
    arriving, moving = (np.random.Generator(np.random.PCG64(s)) for s in np.random.SeedSequence(5).spawn(2))
    places: list[list[int]] = [[], [], []]
    for row, x in zip(trace, COURSES[weights](2, (4, 9), moving), strict=False):
        first = 1 / (1 + np.exp(x[1] - x[0]))
        for place in places:
            if not place:
                place += [0, 1] if arriving.random() < first else [2, 3, 4]
        expected = np.zeros((2, 4), int)
        for place in places:
            for _ in range(min(2, len(place))):
                expected += ROWS[place.pop(0)]
        assert row.tolist() == expected.tolist()


@pytest.mark.parametrize("weights", COURSES)
def test_a_seed_fixes_a_trace_and_a_longer_one_begins_with_the_shorter(weights: str) -> None:
    requests, topics = many(40, 5)
    plan = Composition(weights, (20, 30), in_flight=16)
    longest = compose(requests, topics, plan, 100, seed=3)
    for iterations in (1, 19, 64, 100):
        assert np.array_equal(compose(requests, topics, plan, iterations, seed=3), longest[:iterations])
    assert not np.array_equal(compose(requests, topics, plan, 100, seed=4), longest)


def test_every_row_adds_up_to_what_the_tokens_choose() -> None:
    trace = compose(REQUESTS, label_topics(REQUESTS.labels), Composition("drifting", in_flight=7), 50, seed=1)
    assert (trace.sum(axis=2) == 2 * 7).all() and (trace <= 7).all()


def test_stationary_topics_come_as_often_as_they_have_requests() -> None:
    choices = np.array([[[0]], [[1]], [[1]], [[1]]])
    requests = Requests(choices, np.ones(4, int), ("a", "b", "b", "b"), 2)
    trace = compose(requests, label_topics(requests.labels), Composition(in_flight=1000), 20, seed=1)
    # 20 000 draws: a standard deviation of 0.003.
    assert trace[:, 0, 1].sum() / trace.sum() == pytest.approx(0.75, abs=0.015)


def test_one_topic_prevails_until_the_next_switch() -> None:
    requests, topics = many(40, 1)
    trace = compose(requests, topics, Composition("switching", (10, 10), in_flight=1000), 200, seed=1)
    part = trace[:, 0, 0].reshape(20, 10) / 1000
    prevails = np.exp(2) / (np.exp(2) + np.exp(-3))
    high = part.mean(axis=1) > 0.5
    assert 3 < high.sum() < 17
    np.testing.assert_allclose(part, np.where(high, prevails, 1 - prevails)[:, None] + np.zeros(10), atol=0.02)


def test_switches_lie_as_far_apart_as_said() -> None:
    course = COURSES["switching"](1000, (7, 20), np.random.default_rng(1))
    leading = [int(x.argmax()) for x in islice(course, 3000)]
    switches = np.flatnonzero(np.diff(leading)) + 1
    apart = set(np.diff(switches).tolist())
    # Of a thousand topics the same is hardly ever drawn twice.
    assert min(apart) == 7 and max(apart) == 20


def test_drifting_weights_are_normal_with_a_memory_of_400_iterations() -> None:
    x = np.array(list(islice(COURSES["drifting"](400, (1, 1), np.random.default_rng(1)), 801)))
    for t in (0, 400, 800):
        assert x[t].std() == pytest.approx(1, abs=0.12)
    assert np.mean(x[0] * x[400]) == pytest.approx(np.exp(-1), abs=0.15)
    assert np.diff(x, axis=0).std() == pytest.approx(np.sqrt(2 / 400), rel=0.02)


def test_requests_of_a_topic_in_favour_come_more_often() -> None:
    requests, topics = many(40, 1)
    trace = compose(requests, topics, Composition("drifting", in_flight=1000), 2000, seed=1)
    _, moving = (np.random.Generator(np.random.PCG64(s)) for s in np.random.SeedSequence(1).spawn(2))
    x = np.array(list(islice(COURSES["drifting"](2, (1, 1), moving), 2000)))
    expected = 1 / (1 + np.exp(x[:, 1] - x[:, 0]))
    assert np.abs(trace[:, 0, 0] / 1000 - expected).max() < 0.08 and expected.std() > 0.05


def test_labels_are_grouped_by_the_first_topic_that_has_a_word_of_theirs() -> None:
    labels = ["mmlu/Law", "mmlu/law_of_physics", "gpqa/Physics", "other"]
    topics = grouped_topics(labels, {"science": ["PHYSICS", "maths"], "society": ["law"]})
    assert topics.names == ("science", "society", "rest") and topics.of_request.tolist() == [1, 0, 0, 2]
    assert grouped_topics(labels[:3], {"science": ["physics"], "society": ["law"]}).names == ("science", "society")
    assert label_topics(["b", "a", "b"]).of_request.tolist() == [1, 0, 1]
    with pytest.raises(OrganizerError) as refused:
        grouped_topics(labels, {"law": ["law"], "arts": ["music", "film"]})
    assert str(refused.value) == (
        "topics: a topic has no request. Got: arts: music, film. "
        "Expected: a word of one of the labels, such as mmlu/Law. Next: correct the words."
    )
    with pytest.raises(OrganizerError) as refused:
        grouped_topics(["7", "9"], {"law": ["law"]})
    assert str(refused.value) == (
        "topics: the requests have no labels. Got: numbers, such as 7. Expected: what each request is about. "
        "Next: import the recording again, or leave the topics out."
    )


@pytest.mark.parametrize("text", ["[law]", "law: word", "law: []", "law: [1]", "1: [law]", "law: ['']", ""])
def test_topics_of_another_form_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "topics.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(OrganizerError) as refused:
        read_words(path)
    assert str(refused.value).startswith("topics: the topics have another form. Got: ")
    assert str(refused.value).endswith(f"Expected: for each topic a list of words. Next: correct {path}.")


def test_the_topics_that_ship_are_read() -> None:
    words = read_words(Path(compose.__code__.co_filename).with_name("topics_gptoss20b.yaml"))
    assert list(words) == ["science", "refusals", "society", "humanities", "medicine"]
