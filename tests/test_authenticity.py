"""Results that are not the ingestion program's own, or not of this run, get no score; with the exact texts."""

import hashlib
import json
import math
import os
import socket
from html import escape
from pathlib import Path
from types import SimpleNamespace

import pytest

import scoring
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
from scores import authenticity, regular_file

KEY, FOREIGN = bytes(range(32)), bytes(range(1, 33))
NEXT = "Next: submit a policy that leaves the result files alone; if the policy does, show the log to the organizers."
SIGNATURE = "Expected: the signature that the ingestion program made."
SOMETHING_ELSE = f"results.sig: does not sign results.json. Got: the signature of something else. {SIGNATURE} {NEXT}"
PUBLISHED = "a signature with the published key, which anyone can make"
WORKER = "Next: nothing for participants to do; organizers check the compute worker, which writes this file."
OWN_PROGRAM = "metadata: a program of the submission ran beside the ingestion program. Got: elapsedTime "
REMOVE = "Expected: elapsedTime null. Next: remove the command from the zip (metadata.yaml or metadata)."
DURATION = SECONDS["duration_seconds"]


@pytest.fixture
def folder(tmp_path):
    """Signed results and their reference, which score."""
    write_results(tmp_path / "res", results())
    write(tmp_path / "ref" / "ds_eplb.json", reference())
    return tmp_path


@pytest.fixture
def clock(monkeypatch):
    """Sets the scoring program's clock to so many seconds after the end of the run."""

    def set_to(seconds):
        now = SECONDS["started_seconds"] + DURATION + seconds
        monkeypatch.setattr(scoring, "time", SimpleNamespace(time=lambda: now))

    set_to(30)
    return set_to


@pytest.fixture
def run(folder, capsys, clock):
    """The scoring program on the folder, as it then stands, half a minute after the run."""
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
    text = f"results.sig: cannot be read. Got: a folder instead of a file. {SIGNATURE} {NEXT}"
    assert rejected(run(), "refused", text)


@pytest.mark.parametrize("content", ["", "\n", "0" * 64, "0" * 1024, "é" * 64, b"\xff\x00" * 32])
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
    opened, original = [], authenticity.read_regular

    def swap(path, largest):
        opened.append(path.name)
        data = original(path, largest)
        if path.name == "results.json":
            os.replace(folder / "forged", path)
        return data

    write(folder / "forged", results(mean_par=1.0))
    monkeypatch.setattr(authenticity, "read_regular", swap)
    assert run().scores["composite_score"] == 100.0
    assert opened == ["signing.key", "results.json", "results.sig", "metadata"]


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
    assert done.lines[0].startswith("signing.key: cannot be read. Got: a folder instead of a file. Expected: ")


# Companions


@pytest.mark.parametrize("name", COMPANIONS)
def test_a_swapped_companion_is_refused_by_name(folder, run, name):
    write(folder / "res" / name, b"an older run's")
    signed, found = (hashlib.sha256(data).hexdigest() for data in (COMPANIONS[name], b"an older run's"))
    text = f'{name}: is not the file whose hash results.json states. Got: sha256 "{found}". Expected: sha256 '
    assert rejected(run(), "refused", f'{text}"{signed}". {NEXT}')
    (folder / "res" / name).unlink()
    text = f'{name}: cannot be read. Got: no such file. Expected: sha256 "{signed}". {NEXT}'
    assert rejected(run(), "refused", text)


def test_companions_exchanged_for_each_other_are_refused(folder, run):
    first, second, _ = (folder / "res" / name for name in COMPANIONS)
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    assert run().lines[0].startswith("series.npz: is not the file whose hash results.json states.")


@pytest.mark.parametrize("companions", [None, [], "x", 5, True, {}, {"series.npz": None}, {"series.npz": ["x"]}])
def test_companions_of_any_type_are_refused(folder, run, companions):
    write_results(folder / "res", results() | {"companions": companions})
    done = run()
    assert (done.code, done.scores) == (1, None)
    assert done.lines[0].startswith("series.npz: is not the file whose hash results.json states.")


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
    ("elapsed", "most"),
    [(DURATION - 1.001, "12.499"), (0, "1.000")],
)
def test_a_replayed_older_result_is_refused_by_its_duration(folder, run, elapsed, most):
    worker_record(folder, ingestionElapsedTime=elapsed)
    text = (
        "results.json: belongs to another run. Got: a run of 12.500 seconds. "
        f"Expected: at most {most} seconds, as the worker measured. {NEXT}"
    )
    assert rejected(run(), "refused", text)


SLOW = (
    "metadata: the container's start and end took longer than the grid allows. Got: {} seconds by the worker's "
    "clock, 12.500 by the ingestion program's clock. Expected: a difference of at most {} seconds (container_seconds). "
    "Next: nothing "
    "for participants to do; organizers find why their worker is slow, or raise container_seconds in the phase's grid, "
    "and re-run the submission."
)


def test_a_container_that_starts_slowly_is_not_the_participant_s_fault(folder, run):
    worker_record(folder, ingestionElapsedTime=DURATION + 60.001)
    assert rejected(run(), "data_unavailable", SLOW.format("72.501", "60"))


def test_a_grid_may_say_how_long_a_container_takes(folder, run):
    told = results()
    write_results(folder / "res", told | {"grid": (told.get("grid") or {}) | {"container_seconds": 100}})
    worker_record(folder, ingestionElapsedTime=DURATION + 100)
    assert run().code == 0
    worker_record(folder, ingestionElapsedTime=DURATION + 100.001)
    assert rejected(run(), "data_unavailable", SLOW.format("112.501", "100"))


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


@pytest.mark.parametrize("elapsed", [DURATION + 2, None])
def test_a_program_of_the_submission_s_own_that_took_as_long_is_told_by_its_exit_code(folder, run, elapsed):
    worker_record(folder, elapsedTime=elapsed, exitCode=0)
    text = OWN_PROGRAM.replace("elapsedTime ", "exitCode ")
    assert rejected(run(), "refused", f"{text}0. {REMOVE.replace('elapsedTime', 'exitCode')}")


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
    text = "cannot be read. Got: a folder instead of a file. Expected: YAML that the worker wrote."
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
    assert rejected(
        run(), "failed", f"{text}Next: find the reason in the log of the ingestion program, then run again."
    )


@pytest.mark.parametrize("code", [1, 2, -9, 137, True, "x", [1]])
def test_a_score_of_a_program_that_the_worker_saw_fail_is_refused(folder, run, code):
    worker_record(folder, ingestionExitCode=code)
    shown = "list" if code == [1] else json.dumps(code) if code != -9 else "int"
    assert rejected(
        run(),
        "refused",
        "results.json: belongs to another run. Got: a run with a score. Expected: a run that ended "
        f"with exit code {shown}, as the worker recorded. {NEXT}",
    )


@pytest.mark.parametrize("hours", [-1, -0.25, 0, 5, 24])
def test_results_may_wait_a_day_and_clocks_may_differ(folder, run, clock, hours):
    worker_record(folder)
    clock(3600 * hours)
    assert run().code == 0


@pytest.mark.parametrize(
    ("hours", "got"),
    [(24.1, "ended 24.1 hours ago"), (9999, "ended 9999.0 hours ago"), (-1.1, "ends in 1.1 hours")],
)
def test_a_replayed_older_result_of_the_same_length_is_refused_by_its_time(folder, run, clock, hours, got):
    worker_record(folder)
    clock(3600 * hours)
    assert rejected(
        run(),
        "refused",
        f"results.json: belongs to a run of another time. Got: a run that {got}. Expected: a run that "
        "ended at most 24 hours ago by this worker's clock. Next: submit the policy again; if the same error comes, "
        "tell the organizers, who compare their workers' clocks.",
    )
    # Where no worker wrote a record, results may be as old as they are.
    (folder / "res" / "metadata").unlink()
    assert run().code == 0


@pytest.mark.parametrize(("started", "shown"), [(..., "null"), ("1", '"1"'), (True, "true"), (-1, "-1")])
def test_results_without_a_start_are_broken_where_the_worker_recorded_one(folder, run, started, shown):
    content = {name: value for name, value in (results() | {"started_seconds": started}).items() if value is not ...}
    write_results(folder / "res", content)
    worker_record(folder)
    text = f"results.json: has no valid started_seconds. Got: {shown}. Expected: seconds of Unix time. "
    assert rejected(
        run(), "failed", f"{text}Next: find the reason in the log of the ingestion program, then run again."
    )


# Regular files alone, up to a size

LEFT = ("results.json", "results.sig", "series.npz", "explain.json", "decisions.npz", "metadata")


@pytest.mark.parametrize("name", [*LEFT, "../ref/signing.key", "../ref/ds_eplb.json"])
def test_a_pipe_is_refused_and_not_waited_for(folder, run, name):
    path = folder / "res" / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    done = run()
    assert (done.code, done.scores) == (2 if name.startswith("../") or name == "metadata" else 1, None)
    assert done.lines[0].startswith(f"{path.name}: cannot be read. Got: a named pipe instead of a file. Expected: ")


@pytest.mark.parametrize("name", LEFT)
def test_links_are_refused_wherever_they_lead(folder, run, name):
    worker_record(folder)
    assert run().code == 0
    path = folder / "res" / name
    os.mkfifo(folder / "pipe")
    path.rename(folder / "moved")
    for target in ("moved", "pipe", "nothing", "/dev/zero"):
        path.symlink_to(folder / target)
        assert run().lines[0].startswith(f"{name}: cannot be read. Got: a link instead of a file. Expected: ")
        path.unlink()


def test_what_becomes_a_pipe_while_it_is_opened_is_not_waited_for(folder, monkeypatch):
    os.mkfifo(folder / "pipe")
    regular = os.lstat(folder / "res" / "results.json")
    monkeypatch.setattr(regular_file.os, "lstat", lambda path: regular)
    with pytest.raises(OSError, match="a named pipe instead of a file"):
        regular_file.open_regular(folder / "pipe")


def test_sockets_and_devices_are_no_files(tmp_path, monkeypatch):
    # A socket's whole path would be too long for its address.
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("door")
    for path, kind in {tmp_path / "door": "a socket", Path("/dev/null"): "a device"}.items():
        with pytest.raises(OSError, match=f"^{kind} instead of a file$"):
            regular_file.open_regular(path)


@pytest.mark.parametrize(
    ("name", "limit", "largest"),
    [
        ("results.sig", "LARGEST_SIGNATURE", 1024),
        ("series.npz", "LARGEST_COMPANION", 1000),
        ("explain.json", "LARGEST_COMPANION", 1000),
        ("metadata", "LARGEST_RECORD", 1000),
    ],
)
def test_a_file_of_absurd_size_is_refused_before_it_is_read_whole(folder, run, monkeypatch, name, limit, largest):
    assert (authenticity.LARGEST_COMPANION, authenticity.LARGEST_RECORD) == (256 * 1024**2, 64 * 1024)
    monkeypatch.setattr(authenticity, limit, largest)
    worker_record(folder)
    assert run().code == 0
    with (folder / "res" / name).open("ab") as file:
        file.truncate(10**12)
    done = run()
    assert done.lines[0].startswith(
        f"{name}: is too large. Got: more than {largest} bytes. Expected: at most {largest} bytes. Next: "
    )
    assert done.code == (2 if name == "metadata" else 1)


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
