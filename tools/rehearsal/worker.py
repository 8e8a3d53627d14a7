"""The compute worker's two jobs for a submission: prediction, then scoring, each in fresh folders."""

from __future__ import annotations

import shlex
import shutil
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from bundling.rules_archive import REBUILD
from placement.errors import OrganizerError
from placement.traces.yaml_file import parse_yaml
from rehearsal.container import Mount
from rehearsal.engines import Ended, Engine
from rehearsal.stage import open_to_all, unpack_into, zip_output

METADATA = ("metadata.yaml", "metadata")
# What the platform replaces in a command, in this order and as plain text: at prediction, and at scoring.
REPLACED = {
    "$input": "/app/input_data /app/input",
    "$output": "/app/output /app/output",
    "$program": "/app/program /app/program",
    "$ingestion_program": "/app/program /app/program",
    "$hidden": "/app/input/ref /app/input/ref",
    "$shared": "/app/shared /app/shared",
    "$submission_program": "/app/ingested_program /app/ingested_program",
    "$tmp": "/app/output /app/output",
    "$predictions": "/app/output /app/input/res",
}
# What zipfile raises on a zip that it cannot unpack: damaged, encrypted, of an unknown method, of clashing names.
UNZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError, ValueError)


class FailedSubmission(Exception):
    """The platform would show the submission as Failed; the message says why."""


@dataclass
class Job:
    """What a job left: its zipped output, logs by the platform's names, and what is to be said of it."""

    result: Path
    output: Path
    exit_code: int = 0
    logs: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Worker:
    """A compute worker.

    data: its data directory, which every container sees; limit: the phase's execution_time_limit, in seconds, which
    stops nothing; patience: when a container is killed; beside: whether a command of the submission's own runs at the
    same time as the ingestion program (else before it: the platform promises no order).
    """

    engine: Engine
    folder: Path
    data: Path
    limit: float
    patience: float
    beside: bool = False

    def predict(self, submission: Path, ingestion: Path) -> Job:
        """The prediction job. Raises FailedSubmission, and OrganizerError for a program without a command."""
        folder = self.folder / "prediction"
        try:
            program = unpack_into(folder / "program", submission)
        except UNZIP_ERRORS as error:
            reason = f"Bad or empty zip file ({type(error).__name__}: {error}); the platform may hang instead"
            raise FailedSubmission(reason) from None
        ingestion_program = unpack_into(folder / "ingestion_program", ingestion)
        job = Job(self.folder / "prediction_result.zip", folder / "output")
        submission_command = self._own_command(program, job)
        if submission_command is None:
            # Whatever a submission calls its files, they lie in the output first.
            shutil.copytree(program, job.output)
        else:
            job.output.mkdir()
        open_to_all([job.output])
        shared = [Mount(job.output, "/app/output", True), Mount(self.data, "/app/data")]
        submission_mounts = [Mount(program, "/app/program", True), *shared]
        mounts = [Mount(ingestion_program, "/app/program", True), Mount(program, "/app/ingested_program", True)]
        command = program_words(ingestion_program, ingestion.name, scoring=False)
        with ThreadPoolExecutor(1) as pool:
            other = (
                pool.submit(self.engine.run, submission_command, submission_mounts, self.patience)
                if submission_command
                else None
            )
            if other and not self.beside:
                other.result()
            ended = self.engine.run(command, [*mounts, *shared], self.patience)
            submission_ended = other.result() if other else None
        seconds = ended.seconds
        if submission_ended:
            self._log(job, "prediction", submission_ended)
            seconds = max(seconds, submission_ended.seconds) if self.beside else seconds + submission_ended.seconds
        self._log(job, "prediction_ingestion", ended)
        self._time(job, "prediction", seconds)
        job.exit_code = ended.exit_code
        if ended.exit_code:
            job.notes.append(f"ingestion ended with exit code {ended.exit_code}, which the platform ignores")
        record(job.output / "metadata", ended, submission_ended)
        self._pack(job)
        return job

    def score(self, prediction: Job, scoring: Path, reference: Path) -> Job:
        """The scoring job. Raises as `predict` does."""
        folder = self.folder / "scoring"
        program = unpack_into(folder / "program", scoring)
        try:
            unpack_into(folder / "input" / "res", prediction.result)
        except UNZIP_ERRORS as error:
            raise FailedSubmission(f"the prediction cannot be unpacked: {type(error).__name__}: {error}") from None
        unpack_into(folder / "input" / "ref", reference)
        job = Job(self.folder / "scoring_result.zip", folder / "output")
        for place in (job.output, folder / "shared"):
            place.mkdir()
        open_to_all([job.output, folder / "shared"])
        mounts = [Mount(folder / name, f"/app/{name}", True) for name in ("program", "input", "output", "shared")]
        command = program_words(program, scoring.name, scoring=True)
        ended = self.engine.run(command, [*mounts, Mount(self.data, "/app/data")], self.patience)
        self._log(job, "scoring", ended)
        self._time(job, "scoring", ended.seconds)
        job.exit_code = ended.exit_code
        self._pack(job)
        return job

    def _own_command(self, program: Path, job: Job) -> list[str] | None:
        """The command that the submission has the worker run: empty where it cannot be run, None for no command."""
        command = command_of(program)
        if command is None:
            return None
        where = "at the same time as" if self.beside else "before"
        job.notes.append(f"the submission's own command is run {where} the ingestion program: {command!r:.200}")
        try:
            return words(command, scoring=False)
        except (ValueError, AttributeError) as error:
            job.notes.append(f"it cannot be run: {error}")
            return []

    def _log(self, job: Job, name: str, ended: Ended) -> None:
        job.logs |= {f"{name}_stdout": ended.stdout, f"{name}_stderr": ended.stderr}
        if ended.killed:
            job.notes.append(f"{name}: killed after {ended.seconds:.0f} s, as the worker's queue gives up in the end")

    def _time(self, job: Job, name: str, seconds: float) -> None:
        job.notes.append(f"{name} took {seconds:.1f} s of {self.limit:g} s (execution_time_limit)")
        if seconds > self.limit:
            job.notes.append("the limit was passed; the platform stops no container at it, and may report anything")

    def _pack(self, job: Job) -> None:
        try:
            left_out = zip_output(job.output, job.result)
        # A name that is no text, or a tree that is too deep.
        except (ValueError, OSError, RecursionError) as error:
            raise FailedSubmission(f"the output cannot be zipped: {type(error).__name__}: {error}") from None
        if left_out:
            job.notes.append(f"no plain files, so they are not in {job.result.name}: {', '.join(left_out)[:200]}")


def command_of(folder: Path) -> object | None:
    """What stands as the command in a program's metadata; None where there is none."""
    path = next((folder / name for name in METADATA if (folder / name).is_file()), None)
    if path is None:
        return None
    try:
        content = parse_yaml(path.read_bytes())
    except (OSError, ValueError):
        return None
    return (content.get("command") or None) if isinstance(content, dict) else None


def words(command: object, scoring: bool) -> list[str]:
    """A command as the platform splits it: like a shell's words, but no shell runs it.

    Raises ValueError and AttributeError for what is no text, or has unbalanced quotes.
    """
    for name, places in REPLACED.items():
        command = command.replace(name, places.split()[scoring])
    return shlex.split(command)


def program_words(folder: Path, name: str, scoring: bool) -> list[str]:
    """The words of the command of a program of the bundle. Raises OrganizerError when there is none."""
    try:
        split = words(command_of(folder), scoring)
    except (ValueError, AttributeError):
        split = []
    if not split:
        raise OrganizerError(f"{name} has no command", "none in its metadata.yaml", "command: python3 ...", REBUILD)
    return split


def record(path: Path, ingestion: Ended, submission: Ended | None) -> None:
    """Write the worker's record of a prediction. Raises FailedSubmission when something of that name is there."""
    if path.exists() or path.is_symlink():
        raise FailedSubmission("Error, the output directory already contains a metadata file")
    content = {
        "exitCode": submission.exit_code if submission else None,
        # As the worker has it, for the sake of the platform's first version.
        "elapsedTime": (submission.seconds if submission else None) or ingestion.seconds,
        "ingestionExitCode": ingestion.exit_code,
        "ingestionElapsedTime": ingestion.seconds,
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
