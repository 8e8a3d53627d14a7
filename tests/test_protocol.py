"""Messages from a policy's process are trusted in nothing: malformed ones end the case and never the simulator."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest

from placement.isolation import protocol
from placement.isolation.protocol import LARGEST_HEADER, LENGTH, MalformedMessage
from submissions import run_policy, sentence_of, write_policy

BROKEN = (
    "Small/one ep 2, call 1 (iteration 4): the policy's process broke the protocol. Got: {}. "
    "Expected: only answers on the answer pipe. Next: do not use descriptors that the policy did not open."
)
# Writes to every pipe but its own output, then waits for the end.
FORGER = """
import os, signal, stat
print(os.getpid(), flush=True)
def rebalance(hotness, n_device, n_red_expert):
    data = bytes.fromhex("{}")
    for number in range(3, 256):
        try:
            if stat.S_ISFIFO(os.fstat(number).st_mode):
                os.write(number, data)
        except OSError:
            pass
    while True:
        signal.pause()
"""
REDEPLOY = {"kind": "redeploy", "iteration": 4, "priority": 1, "table": [2, 2, 3]}
PROBLEM = {"kind": "problem", "status": "crashed", "what": "w", "got": "g", "expected": "e", "next": "n"}


def framed(body: bytes) -> bytes:
    """A body behind its length."""
    return LENGTH.pack(len(body)) + body


def decoded(data: bytes) -> dict:
    """The header that decode reads from data, which it must not read beyond."""
    stream = io.BytesIO(data)

    def read(count: int) -> bytes:
        part = stream.read(count)
        assert len(part) == count, "decode read beyond the message"
        return part

    return protocol.decode(read)


def forged(folder: Path, data: bytes) -> str:
    """The message of a crashed case whose policy wrote data to the answer pipe; its process must be gone."""
    outcome = run_policy(write_policy(folder, FORGER.format(data.hex())))
    assert outcome.row["status"] == "crashed"
    with pytest.raises(ProcessLookupError):
        os.kill(int(outcome.log.split()[0]), 0)
    return sentence_of(outcome.row)


def test_a_header_comes_back_as_it_was_sent() -> None:
    header = {"kind": "redeploy", "priority": 3, "text": 'quotes " and \u00fc\ud800', "sizes": [1, 2]}
    assert decoded(protocol.encode(header)) == header


def test_a_header_beyond_the_limit_is_not_sent() -> None:
    with pytest.raises(ValueError, match="header of 65548 bytes"):
        protocol.encode({"text": "x" * LARGEST_HEADER})


@pytest.mark.parametrize("length", [LARGEST_HEADER + 1, 2**31, 2**32 - 1])
def test_a_length_above_the_limit_is_refused_before_anything_is_read(length: int) -> None:
    counts = []

    def read(count: int) -> bytes:
        counts.append(count)
        return LENGTH.pack(length)

    with pytest.raises(MalformedMessage, match=f"^a header of {length} bytes$"):
        protocol.decode(read)
    assert counts == [LENGTH.size]


def outcome_of(body: bytes) -> type:
    """dict or MalformedMessage; anything else that decode raises passes on."""
    try:
        return type(decoded(framed(body)))
    except MalformedMessage:
        return MalformedMessage


def test_random_bytes_are_malformed_or_an_object() -> None:
    random = np.random.default_rng(1)
    alphabet = np.frombuffer(b'{}[]":,0123456789eE+-.\\utfnNaIy \xff\x00\xc3\xed', np.uint8)
    bodies = {bytes(random.choice(alphabet, random.integers(0, 7))) for _ in range(5000)}
    assert {outcome_of(body) for body in bodies} == {dict, MalformedMessage}


def test_a_header_with_a_changed_byte_is_malformed_or_an_object() -> None:
    random = np.random.default_rng(2)
    bodies = [bytearray(json.dumps(PROBLEM | REDEPLOY).encode()) for _ in range(3000)]
    for body in bodies:
        body[random.integers(len(body))] = random.integers(256)
    assert {outcome_of(bytes(body)) for body in bodies} == {dict, MalformedMessage}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00",
        b"{",
        b"{'a': 1}",
        b"\xff\xfe{}",
        b"[" * LARGEST_HEADER,
        b'{"a":' * 9999,
    ],
)
def test_a_body_that_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedMessage, match=r"^a header that is not JSON$"):
        decoded(framed(body))


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"text"', b"NaN"])
def test_a_body_that_is_no_object_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedMessage, match=r"^a header that is not a JSON object$"):
        decoded(framed(body))


@pytest.mark.parametrize("value", [None, True, -1, 1.0, "1", [1], 2**63, 10**400, float("nan")])
def test_only_natural_numbers_are_integers(value: object) -> None:
    with pytest.raises(MalformedMessage, match=r"^no valid size$"):
        protocol.integer({"size": value}, "size")
    with pytest.raises(MalformedMessage, match=r"^no valid size$"):
        protocol.integer({}, "size")


def test_a_natural_number_is_an_integer() -> None:
    assert [protocol.integer({"size": value}, "size") for value in (0, 2**63 - 1)] == [0, 2**63 - 1]


@pytest.mark.parametrize("value", [None, 1, ["a"], {"a": 1}])
def test_only_strings_are_texts(value: object) -> None:
    with pytest.raises(MalformedMessage, match=r"^no valid what$"):
        protocol.text({"what": value}, "what")


def test_a_text_is_printable_and_short_and_on_one_line() -> None:
    assert (
        protocol.text({"what": "a\x1b[1m\n b\r\u2028\ud800\u202e\t\u00fc"}, "what")
        == "a\ufffd[1m b\ufffd\ufffd\ufffd\ufffd \u00fc"
    )
    assert protocol.text({"what": "x" * 10**5}, "what") == "x" * protocol.LARGEST_TEXT


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (b"\xff" * 16, f"a header of {2**32 - 1} bytes"),
        (framed(b"\x00\x01\x02\x03"), "a header that is not JSON"),
        (framed(b"[" * 30000 + b"]" * 30000), "a header that is not JSON"),
        (framed(b"[1, 2]"), "a header that is not a JSON object"),
        (protocol.encode({}), "an answer of no known kind"),
        (protocol.encode(REDEPLOY | {"table": 12}), "an answer of no known kind"),
        (protocol.encode(REDEPLOY | {"priority": True}), "no valid priority"),
        (protocol.encode(REDEPLOY | {"table": [2, 2, 3.0]}), "no valid size"),
        (protocol.encode(PROBLEM | {"status": {}}), "a problem of no known status"),
        (protocol.encode(PROBLEM | {"got": 1}), "no valid got"),
    ],
)
def test_garbage_on_the_answer_pipe_ends_the_case(tmp_path: Path, data: bytes, got: str) -> None:
    assert forged(tmp_path, data) == BROKEN.format(got)


def test_a_forged_problem_is_printed_without_control_characters(tmp_path: Path) -> None:
    text = forged(tmp_path, protocol.encode(PROBLEM | {"what": "\x1b[2J\ncomposite_score: 1000"}))
    call = "Small/one ep 2, call 1 (iteration 4)"
    assert text == f"{call}: \ufffd[2J composite_score: 1000. Got: g. Expected: e. Next: n."


def test_sizes_beyond_the_limit_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    forgery = protocol.encode(REDEPLOY | {"priority": 2**62, "table": [2**62] * 9})
    row = run_policy(write_policy(tmp_path, FORGER.format(forgery.hex()))).row
    assert row["status"] == "invalid_answer"
    assert f"layers_priority lists too many layers. Got: {2**62}." in sentence_of(row)


def test_half_an_answer_is_waited_for_and_then_too_late(tmp_path: Path) -> None:
    forgery = protocol.encode(REDEPLOY) + bytes(8 * 12)
    row = run_policy(write_policy(tmp_path, FORGER.format(forgery.hex())), call_seconds=1).row
    assert row["status"] == "timeout"
