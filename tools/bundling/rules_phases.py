"""Rules for tasks, solutions and phases in competition.yaml."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any

from bundling.reader import PARTS, Bundle, Fault, Phase
from bundling.rules_form import WHERE, shown

DATE = "%Y-%m-%d %H:%M:%S"
SWITCHES = ("auto_migrate_to_this_phase", "hide_output", "hide_prediction_output", "hide_score_output")
LEAST_SECONDS, MARGIN = 60, 60
QUOTE = "write it in quotes"
# How the pages that ship say that submissions are carried over.
MIGRATION = re.compile(r"carr(y|ies|ied)( \w+)? over|migrat(e|es|ed)\b")


def indexes(bundle: Bundle) -> Iterator[Fault]:
    """Tasks and phases have names, and indexes of their own."""
    for kind in ("tasks", "phases"):
        entries = bundle.entries(kind)
        if not entries:
            yield Fault(WHERE, f"has no {kind}", shown(bundle.competition.get(kind)), "at least one", "add it")
        values = [entry.get("index") for entry in entries]
        if not all(type(index) is int for index in values) or len(set(values)) != len(values):
            got = ", ".join(map(shown, values))
            yield Fault(
                f"{WHERE}, {kind}", "indexes are missing or not unique", got, "integers, each once", "correct it"
            )
        for entry in entries:
            if not isinstance(entry.get("name"), str) or not entry["name"].strip():
                yield Fault(
                    f"{WHERE}, {kind}", "has an entry without name", shown(entry.get("name")), "text", "name it"
                )


def task_files(bundle: Bundle) -> Iterator[Fault]:
    """A task's files are zips of the bundle. The platform takes plain files too, and fails every submission later."""
    for task in bundle.entries("tasks"):
        where = f"{WHERE}, task {task.get('name')!r}"
        for key in (*PARTS, *(["input_data"] if "input_data" in task else [])):
            yield from zip_file(bundle, where, key, task.get(key))
        if task.get("ingestion_only_during_scoring", False) is not False:
            expected = "no such key: ingestion would start after scoring"
            got = shown(task["ingestion_only_during_scoring"])
            yield Fault(where, "ingestion_only_during_scoring cannot be used", got, expected, "remove it")


def zip_file(bundle: Bundle, where: str, key: str, name: object) -> Iterator[Fault]:
    """One file of a task or a phase."""
    data = bundle.files.get(name) if isinstance(name, str) else None
    if data is not None and zipfile.is_zipfile(io.BytesIO(data)):
        return
    got = shown(name)
    if data is not None:
        got += ", a plain file"
    elif isinstance(name, str) and any(file.startswith(f"{name.rstrip('/')}/") for file in bundle.files):
        got += ", a folder, whose zip all uploads would share"
    yield Fault(where, f"{key} is not a zip of the bundle", got, "a ready-made zip", "name one that bundle.py makes")


def one_task(bundle: Bundle) -> Iterator[Fault]:
    """With several tasks, no score over all of them would reach the leaderboard."""
    known = [task.get("index") for task in bundle.entries("tasks")]
    used = []
    for entry in bundle.entries("phases"):
        named = entry.get("tasks")
        if not isinstance(named, list) or len(named) != 1:
            expected = "exactly one task, which holds all cases"
            yield Fault(name_of(entry), "has not one task", shown(named), expected, "correct tasks")
        elif named[0] not in known:
            yield Fault(name_of(entry), "names no task", shown(named[0]), f"one of {shown(known)}", "correct tasks")
        elif named[0] in used:
            expected = "a task of its own, with its own grid"
            yield Fault(name_of(entry), "shares its task", shown(named[0]), expected, "correct tasks")
        else:
            used.append(named[0])


def solutions(bundle: Bundle) -> Iterator[Fault]:
    """Solutions point to tasks and files."""
    known = [task.get("index") for task in bundle.entries("tasks")]
    for entry in bundle.entries("solutions"):
        where = f"{WHERE}, solution {entry.get('name')!r}"
        yield from zip_file(bundle, where, "path", entry.get("path"))
        named = entry.get("tasks")
        if not isinstance(named, list) or not all(index in known for index in named):
            yield Fault(where, "names no task", shown(named), f"some of {shown(known)}", "correct tasks")


def unused_parts(bundle: Bundle) -> Iterator[Fault]:
    """A part that nothing names was built for a phase that now runs another."""
    entries = [*bundle.entries("tasks"), *bundle.entries("phases"), *bundle.entries("solutions")]
    named = {value for entry in entries for value in entry.values() if isinstance(value, str)}
    for name in sorted(set(bundle.files) - named):
        if name.endswith(".zip"):
            yield Fault(name, "is not used", "no task or phase names it", "each part in its phase", f"correct {WHERE}")


def dates(bundle: Bundle) -> Iterator[Fault]:
    """Dates are quoted, whole, and follow each other."""
    phases = [phase.entry for phase in bundle.phases]
    points: list[tuple[datetime, str]] = []
    for number, entry in enumerate(phases):
        for key in ("start", "end"):
            value = entry.get(key)
            if key not in entry and key == "end" and number == len(phases) - 1:
                continue
            try:
                points.append((datetime.strptime(value, DATE), f"{key} of {entry.get('name')}"))
            except (TypeError, ValueError):
                yield date_fault(entry, key, value)
    for (before, name), (after, next_name) in pairwise(points):
        if before >= after:
            got = f"{name} {before}, {next_name} {after}"
            yield Fault(
                f"{WHERE}, phases", "dates do not follow each other", got, "each later than the last", "correct it"
            )


def past(bundle: Bundle, now: datetime) -> Iterator[Fault]:
    """Phases that are over already, which is no fault: a bundle may be for the record. now: in UTC without a zone."""
    for phase in bundle.phases:
        try:
            end = datetime.strptime(phase.entry.get("end"), DATE)
        except (TypeError, ValueError):
            continue
        if end <= now:
            got, expected = f"end {end}, and it is {now:{DATE}} UTC", "an end to come, or nobody can submit"
            yield Fault(phase.name, "is over already", got, expected, f"correct start and end in {WHERE}")


def date_fault(entry: dict[str, Any], key: str, value: object) -> Fault:
    """What is wrong with a date that is not one."""
    expected = 'such as "2027-03-01 00:00:00", in UTC and without a zone'
    if value is None:
        return Fault(name_of(entry), f"has no {key}", "nothing", expected, "add it")
    if not isinstance(value, str):
        what = f"{key} is not quoted, so the platform drops its time"
        return Fault(name_of(entry), what, shown(value), expected, QUOTE)
    return Fault(name_of(entry), f"{key} is no date that the platform keeps", shown(value), expected, "correct it")


def limits(bundle: Bundle) -> Iterator[Fault]:
    """Numbers of submissions, and a time limit that the grid's own limit comes before."""
    for phase in bundle.phases:
        for key in ("max_submissions_per_day", "max_submissions"):
            value = phase.entry.get(key, 1)
            if type(value) is not int or value < 0:
                yield Fault(phase.name, f"{key} is no number", shown(value), "an integer, 0 for no limit", "correct it")
        yield from time_limit(phase)


def time_limit(phase: Phase) -> Iterator[Fault]:
    """The platform's limit does not stop a container, and must not be reached."""
    limits = phase.grid.get("limits")
    seconds = limits.get("grid_seconds") if isinstance(limits, dict) else None
    least = LEAST_SECONDS
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool):
        least = max(least, int(seconds) + MARGIN)
    value = phase.entry.get("execution_time_limit")
    if type(value) is not int or value < least:
        expected = f"an integer from {least} on: grid_seconds of its grid and {MARGIN} s for the programs' own work"
        yield Fault(phase.name, "execution_time_limit is too low", shown(value), expected, "correct it or grid_seconds")


def hiding(bundle: Bundle) -> Iterator[Fault]:
    """What participants get back; from the last phase, and where traces are hidden, nothing that a policy writes."""
    for phase in bundle.phases:
        entry = phase.entry
        for key in SWITCHES:
            if key in entry and not isinstance(entry[key], bool):
                yield Fault(
                    phase.name, f"{key} is no switch", shown(entry[key]), "true or false, unquoted", "correct it"
                )
        last = phase is bundle.phases[-1]
        wanted = SWITCHES[1:] if last or phase.hidden else ("hide_prediction_output",)
        for key in wanted:
            if entry.get(key) is not True:
                got = shown(entry.get(key))
                yield Fault(phase.name, f"{key} is off", got, "true: a policy writes what it sees", "correct it")


def migration(bundle: Bundle) -> Iterator[Fault]:
    """Submissions may move on to every phase but the first, and the pages may not say so where they do not."""
    migrating = [phase for phase in bundle.phases if phase.entry.get("auto_migrate_to_this_phase") is True]
    for phase in bundle.phases[:1]:
        value = phase.entry.get("auto_migrate_to_this_phase", False)
        if value is not False:
            expected = "no such key: nothing comes before the first phase"
            yield Fault(phase.name, "auto_migrate_to_this_phase is wrong", shown(value), expected, "correct it")
    for name, content in bundle.files.items() if not migrating else ():
        if not name.endswith(".md"):
            continue
        for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
            if MIGRATION.search(line):
                expected = "no such sentence: no phase has auto_migrate_to_this_phase"
                next_step = f"correct {name}, or write auto_migrate_to_this_phase: true into the later phase"
                yield Fault(f"{name}, line {number}", "tells of a migration", line.strip(), expected, next_step)


def kits(bundle: Bundle) -> Iterator[Fault]:
    """Every phase offers the kit."""
    for entry in bundle.entries("phases"):
        yield from zip_file(bundle, name_of(entry), "starting_kit", entry.get("starting_kit"))
        if "public_data" in entry:
            yield from zip_file(bundle, name_of(entry), "public_data", entry["public_data"])


def name_of(entry: dict[str, Any]) -> str:
    """How a phase is called in messages."""
    return f"phase {entry.get('name')!r}"


STRUCTURE = (indexes, task_files, one_task, kits)
RULES = (solutions, unused_parts, dates, limits, hiding, migration)
