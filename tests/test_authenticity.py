"""Results that are not the ingestion program's own, or not of this run, get no score; with the exact texts."""

import hashlib
import json
import math
import os
from html import escape
from pathlib import Path

import pytest

from score_files import (
    COMPANIONS,
    SECONDS,
    failed_results,
    reference,
    results,
    run_scoring,
    sign,
    stopped,
    write,
    write_results,
)
from scores import authenticity

KEY, FOREIGN = bytes(range(32)), bytes(range(1, 33))
NEXT = (
    "Next: submit a policy that leaves the result files alone; if it does, show the ingestion log to the organizers, "
    "who find the reason there."
)
SIGNATURE = "Expected: the signature that the ingestion program made."
SOMETHING_ELSE = f"results.sig: does not sign results.json. Got: the signature of something else. {SIGNATURE} {NEXT}"
PUBLISHED = "a signature with the published key, which anyone can make"
WORKER = "Next: nothing for participants to do; organizers look at their compute worker, which writes this file."
OWN_PROGRAM = "metadata: a program of the submission's own ran beside the ingestion program. Got: elapsedTime "
REMOVE = "Expected: elapsedTime null. Next: remove the command from the zip (metadata.yaml or metadata)."
DURATION = SECONDS["duration_seconds"]


@pytest.fixture
def folder(tmp_path):
    """Signed results and their reference, which score."""
    write_results(tmp_path / "res", results())
    write(tmp_path / "ref" / "ds_eplb.json", reference())
    return tmp_path


@pytest.fixture
def run(folder, capsys):
    """The scoring program on the folder, as it then stands."""
    return lambda: run_scoring(folder, capsys)


def rejected(run, status, text):
    """Whether a run printed exactly this text, put it on a page with this status, and gave no score."""
    assert run.lines == [text]
    assert run.scores is None
    assert run.code == {"refused": 1, "failed": 1, "data_unavailable": 2}[status]
    assert f"<p>{escape(text)}</p>" in run.page
    assert f"No score: {status}<" in run.page
    return True


def use_key(folder, text=None):
    """Put a key into the reference data."""
    write(folder / "ref" / "signing.key", KEY.hex() if text is None else text)


# Signature


def test_signed_results_score(folder, run):
    assert run().code == 0
    use_key(folder, f" {KEY.hex().upper()}\r\n")
    sign(folder / "res", KEY)
    assert run().scores["composite_score"] == 100.0


def test_a_tampered_byte_is_refused(folder, run):
    path = folder / "res" / "results.json"
    data = path.read_bytes()
    for place in (0, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert rejected(run(), "refused", SOMETHING_ELSE)
    for longer in (data + b"\n", b" " + data, data[:-1]):
        path.write_bytes(longer)
        assert rejected(run(), "refused", SOMETHING_ELSE)


def test_a_foreign_key_is_refused(folder, run):
    sign(folder / "res", FOREIGN)
    assert rejected(run(), "refused", SOMETHING_ELSE)
    use_key(folder)
    assert rejected(run(), "refused", SOMETHING_ELSE)


def test_the_published_key_is_refused_where_the_reference_has_another(folder, run):
    use_key(folder)
    text = f"results.sig: does not sign results.json. Got: {PUBLISHED}. {SIGNATURE} {NEXT}"
    assert rejected(run(), "refused", text)


def test_a_missing_signature_is_refused(folder, run):
    (folder / "res" / "results.sig").unlink()
    assert rejected(run(), "refused", f"results.sig: cannot be read. Got: no such file. {SIGNATURE} {NEXT}")
    (folder / "res" / "results.sig").mkdir()
    text = f"results.sig: cannot be read. Got: IsADirectoryError: Is a directory. {SIGNATURE} {NEXT}"
    assert rejected(run(), "refused", text)


@pytest.mark.parametrize("content", ["", "\n", "0" * 64, "0" * 100_000, "é" * 64, b"\xff\x00" * 32])
def test_a_malformed_signature_is_refused(folder, run, content):
    write(folder / "res" / "results.sig", content)
    assert rejected(run(), "refused", SOMETHING_ELSE)


@pytest.mark.parametrize("content", ["{", '{"a": NaN}', b"\xff", "", "[" * 100_000, {"status": "fine"}])
def test_the_signature_is_checked_before_the_results_are_parsed(folder, run, content):
    write_results(folder / "res", content, FOREIGN)
    assert rejected(run(), "refused", SOMETHING_ELSE)
    sign(folder / "res")
    assert run().lines[0].startswith("results.json: ")


def test_the_bytes_that_were_checked_are_those_that_are_scored(folder, run, monkeypatch):
    opened, original = [], Path.open

    def swap(path, *arguments, **options):
        file = original(path, *arguments, **options)
        if path.name in ("results.json", "results.sig"):
            opened.append(path.name)
            if path.name == "results.json":
                os.replace(folder / "forged", path)
        return file

    write(folder / "forged", results(mean_par=1.0))
    monkeypatch.setattr(Path, "open", swap)
    assert run().scores["composite_score"] == 100.0
    assert opened == ["results.json", "results.sig"]


@pytest.mark.parametrize("content", [failed_results(), stopped("refused", "x"), {}])
def test_the_signature_is_checked_whatever_the_status(folder, run, content):
    write_results(folder / "res", content, FOREIGN)
    assert rejected(run(), "refused", SOMETHING_ELSE)


def test_results_of_absurd_size_are_refused_before_they_are_read_whole(folder, run, monkeypatch):
    path, limit = folder / "res" / "results.json", 64 * 1024**2
    with path.open("r+b") as file:
        file.truncate(10**12)
    text = f"results.json: is too large. Got: more than {limit} bytes. Expected: at most {limit} bytes. {NEXT}"
    assert rejected(run(), "refused", text)
    monkeypatch.setattr(authenticity, "LARGEST_RESULTS", 1000)
    data = json.dumps(stopped("refused", "x"))
    write_results(folder / "res", data + " " * (1000 - len(data)))
    assert run().lines[0] == "No score: refused: x."
    write_results(folder / "res", data + " " * (1001 - len(data)))
    assert run().lines[0].startswith("results.json: is too large. Got: more than 1000 bytes.")


@pytest.mark.parametrize(
    "text", ["", KEY.hex()[1:], KEY.hex() + "0", "x" * 64, f"{KEY.hex()[:32]} {KEY.hex()[32:]}", b"\xff" * 64]
)
def test_a_malformed_key_is_the_organizer_s_error_and_not_shown(folder, run, text):
    use_key(folder, text)
    assert rejected(
        run(),
        "data_unavailable",
        f"signing.key: has the wrong form. Got: {len(text)} bytes of another form. Expected: 64 hexadecimal "
        "characters. Next: nothing for participants to do; organizers put the key into the reference data again.",
    )


def test_a_key_that_cannot_be_read_is_the_organizer_s_error(folder, run):
    (folder / "ref" / "signing.key").mkdir()
    done = run()
    assert done.code == 2
    assert done.lines[0].startswith("signing.key: cannot be read. Got: IsADirectoryError: Is a directory. Expected: ")


# Companions


@pytest.mark.parametrize("name", COMPANIONS)
def test_a_swapped_companion_is_refused_by_name(folder, run, name):
    write(folder / "res" / name, b"an older run's")
    signed, found = (hashlib.sha256(data).hexdigest() for data in (COMPANIONS[name], b"an older run's"))
    text = f'{name}: is not the file that results.json was signed with. Got: sha256 "{found}". Expected: sha256 '
    assert rejected(run(), "refused", f'{text}"{signed}". {NEXT}')
    (folder / "res" / name).unlink()
    text = f'{name}: cannot be read. Got: no such file. Expected: sha256 "{signed}". {NEXT}'
    assert rejected(run(), "refused", text)


def test_companions_exchanged_for_each_other_are_refused(folder, run):
    first, second = (folder / "res" / name for name in COMPANIONS)
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    assert run().lines[0].startswith("series.npz: is not the file that results.json was signed with.")


@pytest.mark.parametrize("companions", [None, [], "x", 5, True, {}, {"series.npz": None}, {"series.npz": ["x"]}])
def test_companions_of_any_type_are_refused(folder, run, companions):
    write_results(folder / "res", results() | {"companions": companions})
    done = run()
    assert (done.code, done.scores) == (1, None)
    assert done.lines[0].startswith("series.npz: is not the file that results.json was signed with.")


def test_a_large_companion_is_hashed_whole(folder, run):
    data = b"x" * (3 * 1024**2 + 1)
    write(folder / "res" / "series.npz", data)
    companions = results()["companions"] | {"series.npz": hashlib.sha256(data).hexdigest()}
    write(folder / "res" / "results.json", results() | {"companions": companions})
    sign(folder / "res")
    assert run().code == 0


# The worker's record


def worker_record(folder, **changes):
    """Write `metadata` as the worker does for a run of a policy alone; keywords change fields, `...` removes one."""
    record = {"exitCode": None, "elapsedTime": None, "ingestionExitCode": 0, "ingestionElapsedTime": DURATION + 2}
    record = {name: value for name, value in (record | changes).items() if value is not ...}
    write(folder / "res" / "metadata", "".join(f"{name}: {_yaml(value)}\n" for name, value in record.items()))


def _yaml(value):
    special = {math.inf: ".inf", -math.inf: "-.inf"}
    if isinstance(value, float) and not math.isfinite(value):
        return special.get(value, ".nan")
    return json.dumps(value)


def test_a_run_that_the_worker_recorded_scores(folder, run):
    worker_record(folder)
    assert run().code == 0
    worker_record(folder, elapsedTime=..., exitCode=..., ingestionExitCode=...)
    assert run().code == 0


@pytest.mark.parametrize("difference", [-1, 0, 0.001, 30, 60])
def test_the_worker_may_measure_a_little_more_or_less(folder, run, difference):
    worker_record(folder, ingestionElapsedTime=DURATION + difference)
    assert run().code == 0


@pytest.mark.parametrize(
    ("elapsed", "least", "most"),
    [(DURATION - 1.001, "0.000", "12.499"), (DURATION + 60.001, "12.501", "73.501"), (0, "0.000", "1.000")],
)
def test_a_replayed_older_result_is_refused_by_its_duration(folder, run, elapsed, least, most):
    worker_record(folder, ingestionElapsedTime=elapsed)
    text = (
        "results.json: tells of another run, as older results do. Got: 12.500 seconds. "
        f"Expected: from {least} to {most}, as the worker measured. {NEXT}"
    )
    assert rejected(run(), "refused", text)


@pytest.mark.parametrize("elapsed", [0.5, 3, True, "x", float("nan"), float("inf"), -1, [1], {"a": 1}])
def test_a_program_of_the_submission_s_own_is_refused(folder, run, elapsed):
    worker_record(folder, elapsedTime=elapsed)
    done = run()
    assert (done.code, done.scores) == (1, None)
    assert done.lines[0].startswith(OWN_PROGRAM) and done.lines[0].endswith(REMOVE)
    worker_record(folder, elapsedTime=elapsed, ingestionElapsedTime=None)
    assert run().lines == done.lines


def test_a_program_of_the_submission_s_own_is_refused_in_these_words(folder, run):
    worker_record(folder, elapsedTime=0.75)
    assert rejected(run(), "refused", f"{OWN_PROGRAM}0.75. {REMOVE}")


def test_a_worker_that_repeats_the_ingestion_program_s_seconds_started_nothing_else(folder, run):
    worker_record(folder, elapsedTime=DURATION + 2)
    assert run().code == 0
    write_results(folder / "res", results() | {"duration_seconds": 0.5})
    worker_record(folder, elapsedTime=True, ingestionElapsedTime=1)
    assert run().lines[0].startswith(OWN_PROGRAM)


@pytest.mark.parametrize(
    ("elapsed", "shown"),
    [
        (..., "null"),
        (None, "null"),
        ("12.5", '"12.5"'),
        (True, "true"),
        (-0.5, "-0.5"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        ([12.5], "list"),
        ({"a": 12.5}, "dict"),
        (-5, "int"),
    ],
)
def test_a_record_without_the_ingestion_program_s_seconds_is_the_organizer_s_error(folder, run, elapsed, shown):
    worker_record(folder, ingestionElapsedTime=elapsed)
    text = f"metadata: has no valid ingestionElapsedTime. Got: {shown}. Expected: seconds. {WORKER}"
    assert rejected(run(), "data_unavailable", text)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "has the wrong form. Got: null. Expected: a mapping."),
        ("text", 'has the wrong form. Got: "text". Expected: a mapping.'),
        ("- 1\n", "has the wrong form. Got: list. Expected: a mapping."),
        ("2026-01-01", "has the wrong form. Got: date. Expected: a mapping."),
        (".nan", "has the wrong form. Got: NaN. Expected: a mapping."),
        ("&a [*a]", "has the wrong form. Got: list. Expected: a mapping."),
        ("0x" + "f" * 10_000, "has the wrong form. Got: int. Expected: a mapping."),
        ("{", "cannot be read. Got: ParserError. Expected: YAML that the worker wrote."),
        (b"\xff\x00", "cannot be read. Got: ReaderError. Expected: YAML that the worker wrote."),
        (
            "!!python/object:os.system {}",
            "cannot be read. Got: ConstructorError. Expected: YAML that the worker wrote.",
        ),
        ("!!int ''", "cannot be read. Got: IndexError. Expected: YAML that the worker wrote."),
        ("[" * 5000, "cannot be read. Got: RecursionError. Expected: YAML that the worker wrote."),
    ],
)
def test_a_record_of_another_form_is_the_organizer_s_error(folder, run, content, text):
    write(folder / "res" / "metadata", content)
    assert rejected(run(), "data_unavailable", f"metadata: {text} {WORKER}")


def test_records_that_hold_themselves_are_compared(folder, run):
    write(folder / "res" / "metadata", "elapsedTime: &a [*a]\ningestionElapsedTime: &b [*b]\n")
    assert rejected(run(), "refused", f"{OWN_PROGRAM}list. {REMOVE}")


def test_a_record_that_cannot_be_read_is_the_organizer_s_error(folder, run):
    (folder / "res" / "metadata").mkdir()
    text = "cannot be read. Got: IsADirectoryError: Is a directory. Expected: YAML that the worker wrote."
    assert rejected(run(), "data_unavailable", f"metadata: {text} {WORKER}")


@pytest.mark.parametrize(
    ("duration", "shown"), [(..., "null"), (None, "null"), ("1", '"1"'), (True, "true"), (-1, "-1")]
)
def test_results_without_a_duration_are_broken_where_the_worker_recorded_one(folder, run, duration, shown):
    content = {name: value for name, value in (results() | {"duration_seconds": duration}).items() if value is not ...}
    write_results(folder / "res", content)
    assert run().code == 0
    worker_record(folder)
    text = f"results.json: has no valid duration_seconds. Got: {shown}. Expected: seconds. "
    assert rejected(run(), "failed", f"{text}Next: find the reason in the ingestion log, then run again.")


# Order of the checks


@pytest.mark.parametrize(
    ("content", "last"),
    [
        (failed_results(), "No score: failed: 2 of 3 cases failed"),
        (stopped("refused", "no policy.py"), "No score: refused: no policy.py."),
        (stopped("data_unavailable", "no trace"), "No score: data_unavailable: no trace."),
    ],
)
def test_a_run_without_a_score_shows_its_own_failure(folder, run, content, last):
    write_results(folder / "res", content)
    (folder / "res" / "series.npz").unlink()
    worker_record(folder, elapsedTime=5, ingestionElapsedTime=10_000)
    assert run().lines[-2] == last
