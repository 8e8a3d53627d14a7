"""Ten thousand random messages and ten thousand random answers: the simulator refuses each and allocates little."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from random import Random
from typing import Any

import numpy as np
import pytest

from cases import make_case
from placement.answer import check_answer
from placement.errors import PolicyError
from placement.grid import Limits
from placement.isolation.messages import read_answer
from placement.isolation.protocol import LARGEST_HEADER, LENGTH, MalformedMessage, encode
from placement.isolation.reading import read_class_answer, read_function_answer

TRIES, ITERATION = 10_000, 4
CASE = make_case()
LIMITS = Limits(30, 10, 60, 300, 2**32, 2**32, 65536)
TABLE_BYTES = 8 * CASE.layers * CASE.devices * CASE.slots
WORDS = ["keep", "redeploy", "problem", "kind", "iteration", "priority", "table", "status", "crashed", "\ud800\x1b"]


class EndOfMessage(Exception):
    """Stands for a policy's process that ended before the message did."""


class Pipe:
    """The bytes of a message, and the largest piece that was asked of them."""

    def __init__(self, data: bytes) -> None:
        self.data, self.largest = data, 0

    def read(self, count: int) -> bytes:
        self.largest = max(self.largest, count)
        if count > len(self.data):
            raise EndOfMessage
        part, self.data = self.data[:count], self.data[count:]
        return part


def random_value(random: Random, depth: int = 0) -> Any:
    """Anything JSON can carry, often nearly right."""
    kind = random.randrange(10 if depth < 3 else 7)
    if kind < 3:
        return random.choice([0, 1, 2, 3, 4, -1, 2**31, 2**63, 10**30])
    if kind < 5:
        return random.choice([*WORDS, ""])
    if kind < 7:
        return random.choice([None, True, False, 1.0, 2.5, 1e308, float("inf"), float("nan")])
    if kind < 9:
        return [random_value(random, depth + 1) for _ in range(random.randrange(12))]
    return {random.choice([*WORDS, ""]): random_value(random, depth + 1) for _ in range(random.randrange(5))}


def random_message(random: Random) -> bytes:
    """Random bytes, a header of random content, or a good message of which one part is changed, cut or repeated."""
    kind = random.randrange(4)
    if kind == 0:
        return random.randbytes(random.randrange(200))
    header = {"kind": "redeploy", "iteration": ITERATION, "priority": 1, "table": [2, 2, 3]}
    if kind == 1:
        header = random_value(random)
    elif kind == 2:
        header[random.choice(list(header))] = random_value(random)
    text = json.dumps(header).encode()
    length = len(text) if random.random() < 0.8 else random.choice([0, len(text) - 1, 2**16 + 1, 2**32 - 1])
    values = np.array([random.randrange(-2, 6) for _ in range(13)], "<i8").tobytes()
    data = LENGTH.pack(max(0, length)) + text + values
    return data[: random.randrange(len(data))] if random.random() < 0.2 else data


def test_random_messages_are_refused_or_read_and_never_allocate_more_than_an_answer() -> None:
    random, ends = Random(7), Counter()
    for _ in range(TRIES):
        pipe = Pipe(random_message(random))
        try:
            answer = read_answer(pipe.read, CASE, LIMITS, ITERATION)
            if answer is not None:
                check_answer(*answer, CASE)
            ends["read"] += 1
        except (PolicyError, MalformedMessage, EndOfMessage) as error:
            ends[type(error).__name__] += 1
        assert pipe.largest <= max(LARGEST_HEADER, TABLE_BYTES)
    # Every way out is taken, so none of them is untested.
    assert min(ends[name] for name in ("read", "PolicyError", "MalformedMessage", "EndOfMessage")) >= 5


@pytest.mark.parametrize("kind", ["keep", "redeploy"])
@pytest.mark.parametrize("iteration", [0, ITERATION - 1, ITERATION + 1])
def test_an_answer_belongs_to_the_call_that_is_being_answered(kind: str, iteration: int) -> None:
    header = {"kind": kind, "iteration": iteration, "priority": 1, "table": [2, 2, 3]}
    pipe = Pipe(encode(header) + bytes(8 + TABLE_BYTES))
    with pytest.raises(MalformedMessage, match=r"^an answer to another call$"):
        read_answer(pipe.read, CASE, LIMITS, ITERATION)


def random_array(random: Random) -> Any:
    """Arrays and lists of all kinds, many of them near a right answer."""
    shape = random.choice([(2, 2, 3), (2, 2, 3), (2, 3), (1,), (0,), (2, 2, 3, 1), ()])
    kind = random.choice([np.int64, np.int32, np.uint64, np.float64, bool, object, "U3", "datetime64[s]"])
    array = np.array([random.randrange(-1, 6) for _ in range(int(np.prod(shape)))]).reshape(shape)
    with suppress(ValueError, TypeError, OverflowError):
        array = array.astype(kind)
    return array.tolist() if random.random() < 0.3 else array


@pytest.mark.parametrize("read", [read_function_answer, read_class_answer])
def test_random_answers_are_integers_or_refused(read: Any) -> None:
    random, ends = Random(11), Counter()
    for _ in range(TRIES // 2):
        pair = [random.choice([random_array, random_value])(random) for _ in range(2)]
        answer = (True, *pair, None) if read is read_function_answer else tuple(pair)
        if random.random() < 0.1:
            answer = random_value(random)
        try:
            got = read(answer)
            if got is not None:
                assert [part.dtype for part in got] == [np.int64, np.int64]
                check_answer(*got, CASE)
            ends["read"] += 1
        except PolicyError as error:
            ends[error.status] += 1
    assert set(ends) == {"read", "invalid_answer"} and min(ends.values()) > 10
