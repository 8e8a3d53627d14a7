"""Holds a built bundle against what the platform refuses, and what it accepts and does wrong in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from bundling import (
    rules_competition,
    rules_figures,
    rules_kit,
    rules_leaderboard,
    rules_phases,
    rules_programs,
    rules_secrets,
    rules_submissions,
    rules_tables,
    rules_traces,
)
from bundling.parts import Files
from bundling.reader import Bundle, Fault
from bundling.rules_archive import archive_faults
from bundling.rules_form import form_faults, read_competition
from bundling.trial import trial
from commands.archive import unpack

Rule = Callable[[Bundle], Iterator[Fault]]
INDEPENDENT: tuple[Rule, ...] = rules_competition.RULES
# Which part belongs to which phase: the rules of WHOLE rely on it.
STRUCTURE: tuple[Rule, ...] = (*rules_phases.STRUCTURE, rules_programs.roots)
WHOLE: tuple[Rule, ...] = (
    *rules_phases.RULES,
    *rules_leaderboard.RULES,
    *rules_programs.RULES,
    *rules_secrets.RULES,
)
# What participants read and run; looked at once grids, references and pages are sound.
SEEN: tuple[Rule, ...] = (
    *rules_kit.RULES,
    *rules_traces.RULES,
    *rules_figures.RULES,
    *rules_submissions.RULES,
    *rules_tables.RULES,
)


def check(data: bytes, name: str) -> list[Fault]:
    """The faults of a bundle of that file name; where its zips or its structure have some, not yet those behind."""
    if faults := archive_faults(name, data):
        return faults
    files = unpack(data)
    try:
        return faults_of(files, read_competition(files))
    except Fault as fault:
        return [fault]


def warnings(data: bytes, now: datetime) -> list[Fault]:
    """What a bundle without faults is probably not meant to be; now: in UTC without a zone."""
    bundle = _bundle(data)
    return [*rules_phases.past(bundle, now), *rules_competition.left_open(bundle)]


def tried(data: bytes) -> list[Fault]:
    """What goes wrong when the kit of a bundle without faults is used, which takes seconds. Raises OSError."""
    return list(trial(_bundle(data)))


def _bundle(data: bytes) -> Bundle:
    files = unpack(data)
    return Bundle(files, read_competition(files))


def faults_of(files: Files, competition: dict[str, Any]) -> list[Fault]:
    """The faults of the files of a bundle and the content of its competition.yaml."""
    if faults := list(form_faults(competition)):
        return faults
    bundle = Bundle(files, competition)
    structure = faults_by(STRUCTURE, bundle)
    faults = faults_by(INDEPENDENT, bundle) + (structure or faults_by(WHOLE, bundle))
    return faults or faults_by(SEEN, bundle)


def faults_by(rules: Iterable[Rule], bundle: Bundle) -> list[Fault]:
    """The faults that rules find."""
    return [fault for rule in rules for fault in rule(bundle)]
