"""Proof that the ingestion program wrote the results in this run: signature, companions, the worker's record."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path
from typing import Any

import yaml

from .comparison import broken_results, is_number
from .problems import FileError, reason, shown
from .regular_file import BLOCK, TooLarge, open_regular, read_regular

# The same as the ingestion program's: a run outside the platform has no secret, and is to be scored all the same.
PUBLISHED_KEY = b"published key: it signs runs outside the platform, and proves nothing"
KEY_FORM = re.compile(rb"[0-9a-fA-F]{64}")
COMPANIONS = ("series.npz", "explain.json", "decisions.npz")
LARGEST_RESULTS, LARGEST_COMPANION, LARGEST_RECORD = 64 * 1024**2, 256 * 1024**2, 64 * 1024
# A signature has 64 characters, a key as well.
LARGEST_SIGNATURE = 1024
# How much longer than its own clock says the ingestion program may run by the worker's, since a container has to start:
# the second where the results do not have their grid's container_seconds.
EARLIEST, LATEST = -1.0, 60.0
# Hours that results may wait to be scored, and that the clocks of two workers may differ.
WAITING, CLOCKS = 24.0, 1.0
NEXT_STEP = "submit a policy that leaves the result files alone; if the policy does, show the log to the organizers"


def check_signature(results: Path, reference: Path) -> bytes:
    """The bytes of results.json, after results.sig was found to sign them.

    Raises FileError: refused for a wrong signature, data_unavailable without results.json or for a bad signing.key.
    """
    key = _key(reference / "signing.key")
    data = _read_results(results / "results.json")
    signature = _read_signature(results / "results.sig")
    if hmac.compare_digest(signature, _sign(data, key)):
        return data
    published = hmac.compare_digest(signature, _sign(data, PUBLISHED_KEY))
    raise _forged(
        "results.sig",
        "does not sign results.json",
        "a signature with the published key, which anyone can make" if published else "the signature of something else",
        "the signature that the ingestion program made",
    )


def check_companions(folder: Path, results: dict[str, Any]) -> None:
    """Raises FileError unless each of COMPANIONS has the hash that the results state."""
    companions = results.get("companions")
    for name in COMPANIONS:
        signed = companions.get(name) if isinstance(companions, dict) else None
        try:
            digest = _sha256(folder / name)
        except OSError as error:
            raise _forged(name, "cannot be read", reason(error), f"sha256 {shown(signed)}") from None
        except TooLarge:
            raise _too_large(name, LARGEST_COMPANION) from None
        if digest != signed:
            what = "is not the file whose hash results.json states"
            raise _forged(name, what, f'sha256 "{digest}"', f"sha256 {shown(signed)}")


def check_record(folder: Path, results: dict[str, Any], now: float) -> None:
    """Compare scored results with the worker's file `metadata`, if there is one: what ran, how long, exit code.

    now: Unix time in seconds, near which the run must have ended. Raises FileError: refused when results and record
    contradict each other, data_unavailable when the record is unreadable or incomplete.
    """
    record = _read_record(folder / "metadata")
    if record is None:
        return
    _check_alone(record)
    elapsed = record.get("ingestionElapsedTime")
    if not is_number(elapsed):
        raise _broken_record("has no valid ingestionElapsedTime", _in_short(elapsed), "seconds")
    duration = results.get("duration_seconds")
    if not is_number(duration):
        raise broken_results("has no valid duration_seconds", shown(duration), "seconds")
    if elapsed - duration < EARLIEST:
        raise _forged(
            "results.json",
            "belongs to another run",
            f"a run of {duration:.3f} seconds",
            f"at most {elapsed - EARLIEST:.3f} seconds, as the worker measured",
        )
    latest = _container_seconds(results)
    if elapsed - duration > latest:
        # A slow worker and older results look alike: no score, and nobody is accused.
        raise FileError(
            "data_unavailable",
            "metadata",
            "the container's start and end took longer than the grid allows",
            f"{elapsed:.3f} seconds by the worker's clock, {duration:.3f} by the ingestion program's clock",
            f"a difference of at most {latest:g} seconds (container_seconds)",
            "nothing for participants to do; organizers find why their worker is slow, or raise container_seconds in "
            "the phase's grid, and re-run the submission",
        )
    if (code := record.get("ingestionExitCode")) not in (None, 0):
        raise _forged(
            "results.json",
            "belongs to another run",
            "a run with a score",
            f"a run that ended with exit code {_in_short(code)}, as the worker recorded",
        )
    _check_age(results, duration, now)


def _container_seconds(results: dict[str, Any]) -> float:
    grid = results.get("grid")
    seconds = grid.get("container_seconds") if isinstance(grid, dict) else None
    return seconds if is_number(seconds) else LATEST


def _check_alone(record: dict[Any, Any]) -> None:
    """Raises FileError where the worker recorded that a program of the submission ran."""
    elapsed, submission_elapsed = record.get("ingestionElapsedTime"), record.get("elapsedTime")
    # A worker may repeat the ingestion program's seconds there for the sake of the platform's first version.
    repeated = is_number(submission_elapsed) and is_number(elapsed) and submission_elapsed == elapsed
    # By the worker's source it never repeats the exit code, which thereby tells two programs of the same length apart.
    fields = {"elapsedTime": None if repeated else submission_elapsed, "exitCode": record.get("exitCode")}
    if ran := next((name for name, value in fields.items() if value is not None), None):
        raise _forged(
            "metadata",
            "a program of the submission ran beside the ingestion program",
            f"{ran} {_in_short(fields[ran])}",
            f"{ran} null",
            "remove the command from the zip (metadata.yaml or metadata)",
        )


def _check_age(results: dict[str, Any], duration: float, now: float) -> None:
    started = results.get("started_seconds")
    if not is_number(started):
        raise broken_results("has no valid started_seconds", shown(started), "seconds of Unix time")
    hours = (now - started - duration) / 3600
    if not -CLOCKS <= hours <= WAITING:
        raise _forged(
            "results.json",
            "belongs to a run of another time",
            f"a run that ended {hours:.1f} hours ago" if hours >= 0 else f"a run that ends in {-hours:.1f} hours",
            f"a run that ended at most {WAITING:.0f} hours ago by this worker's clock",
            "submit the policy again; if the same error comes, tell the organizers, who compare their workers' clocks",
        )


def _sign(data: bytes, key: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).hexdigest().encode("ascii")


def _key(path: Path) -> bytes:
    try:
        text = read_regular(path, LARGEST_SIGNATURE).strip()
    except FileNotFoundError:
        return PUBLISHED_KEY
    except OSError as error:
        raise _broken_key("cannot be read", reason(error)) from None
    except TooLarge:
        raise _broken_key("is too large", f"more than {LARGEST_SIGNATURE} bytes") from None
    if not KEY_FORM.fullmatch(text):
        # The text is not shown: it may be most of a key.
        raise _broken_key("has the wrong form", f"{len(text)} bytes of another form")
    return bytes.fromhex(text.decode("ascii"))


def _read_results(path: Path) -> bytes:
    try:
        return read_regular(path, LARGEST_RESULTS)
    except FileNotFoundError:
        # The ingestion program writes the file whatever a policy does; a program beside it may remove the file.
        _check_alone(_read_record(path.with_name("metadata")) or {})
        next_step = "nothing for participants to do; organizers find the reason in the log of the ingestion program"
        fields = (path.name, "is missing", "no such file", "the file that the ingestion program writes", next_step)
        raise FileError("data_unavailable", *fields) from None
    except OSError as error:
        raise broken_results("cannot be read", reason(error), "strict JSON") from None
    except TooLarge:
        raise _too_large(path.name, LARGEST_RESULTS) from None


def _read_signature(path: Path) -> bytes:
    try:
        return read_regular(path, LARGEST_SIGNATURE).strip()
    except OSError as error:
        expected = "the signature that the ingestion program made"
        raise _forged(path.name, "cannot be read", reason(error), expected) from None
    except TooLarge:
        raise _too_large(path.name, LARGEST_SIGNATURE) from None


def _sha256(path: Path) -> str:
    digest, size = hashlib.sha256(), 0
    with open_regular(path) as file:
        while block := file.read(BLOCK):
            size += len(block)
            if size > LARGEST_COMPANION:
                raise TooLarge(f"more than {LARGEST_COMPANION} bytes")
            digest.update(block)
    return digest.hexdigest()


def _read_record(path: Path) -> dict[Any, Any] | None:
    try:
        record = yaml.safe_load(read_regular(path, LARGEST_RECORD))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _broken_record("cannot be read", reason(error), "YAML that the worker wrote") from None
    except TooLarge:
        expected = f"at most {LARGEST_RECORD} bytes"
        raise _broken_record("is too large", f"more than {LARGEST_RECORD} bytes", expected) from None
    except Exception as error:
        # PyYAML lets errors of many kinds through.
        raise _broken_record("cannot be read", type(error).__name__, "YAML that the worker wrote") from None
    if not isinstance(record, dict):
        raise _broken_record("has the wrong form", _in_short(record), "a mapping")
    return record


def _in_short(value: Any) -> str:
    # YAML holds dates, endless numbers and nested aliases, which are not to be written out.
    if value is None or isinstance(value, (bool, float, str)) or is_number(value):
        return shown(value)
    return type(value).__name__


def _forged(file: str, what: str, got: str, expected: str, next_step: str = NEXT_STEP) -> FileError:
    return FileError("refused", file, what, got, expected, next_step)


def _too_large(file: str, largest: int) -> FileError:
    return _forged(file, "is too large", f"more than {largest} bytes", f"at most {largest} bytes")


def _broken_key(what: str, got: str) -> FileError:
    next_step = "nothing for participants to do; organizers put the key into the reference data again"
    return FileError("data_unavailable", "signing.key", what, got, "64 hexadecimal characters", next_step)


def _broken_record(what: str, got: str, expected: str) -> FileError:
    next_step = "nothing for participants to do; organizers check the compute worker, which writes this file"
    return FileError("data_unavailable", "metadata", what, got, expected, next_step)
