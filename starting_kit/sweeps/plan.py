"""What a sweep has to measure, what of it is kept already, and where what is measured is kept: in traces/store.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from placement.grid import Case, Cost
from traces.store import find, keep

from .job import Job, made_with
from .trace_file import TraceFile
from .variants import Variant

# Where a sweep keeps nothing of a case: it failed.
OK = "ok"


@dataclass(frozen=True)
class Unit:
    """A variant on its cases of one trace."""

    variant: Variant
    trace: TraceFile
    cases: tuple[Case, ...]


class Plan:
    """The units of a sweep, and the rows that are known of them.

    A row is kept by all that it was made of, so that another sweep finds it, whatever else that one varies.
    """

    def __init__(self, units: Sequence[Unit], cost: Cost, folder: Path) -> None:
        """folder: of the kept rows. Looks there at once for every case."""
        self._cost, self._folder, self._made_with = cost, folder, made_with()
        self.units = list(units)
        self._rows: dict[tuple[str, str, Case], dict[str, Any]] = {}
        for unit in self.units:
            for case in unit.cases:
                if (row := find(folder, self._made_of(unit, case))) is not None:
                    self._rows[self._key(unit, case)] = row

    def missing(self) -> list[tuple[Unit, Job]]:
        """What is still to be measured, each job with the unit that it is of; equal units once."""
        jobs: dict[tuple[str, str], tuple[Unit, Job]] = {}
        for unit in self.units:
            cases = tuple(case for case in unit.cases if self._key(unit, case) not in self._rows)
            if cases:
                place = (unit.variant.sha256, unit.trace.sha256)
                left = (unit, self._job(unit, cases))
                jobs.setdefault(place, left)
        return list(jobs.values())

    def landed(self, unit: Unit, cases: Sequence[Case], rows: Sequence[Mapping[str, Any]]) -> None:
        """Take the rows of a job that has ended, and keep those that are ok, each whole or not at all."""
        for case, row in zip(cases, rows, strict=True):
            if row["status"] == OK:
                keep(self._folder, self._made_of(unit, case), row)
            self._rows[self._key(unit, case)] = dict(row)

    def row(self, unit: Unit, case: Case) -> dict[str, Any] | None:
        """What is known of a case."""
        return self._rows.get(self._key(unit, case))

    def count(self) -> tuple[int, int]:
        """How many different cases have a row, and how many there are."""
        keys = {self._key(unit, case) for unit in self.units for case in unit.cases}
        return len(keys & self._rows.keys()), len(keys)

    def _job(self, unit: Unit, cases: tuple[Case, ...]) -> Job:
        return Job(unit.variant.title, unit.variant.files, unit.trace, cases, self._cost, self._made_with)

    def _key(self, unit: Unit, case: Case) -> tuple[str, str, Case]:
        return unit.variant.sha256, unit.trace.sha256, _nameless(case)

    def _made_of(self, unit: Unit, case: Case) -> dict[str, Any]:
        return {
            "unit": "policy on a case of a trace, without the sandbox and its limits",
            "policy_sha256": unit.variant.sha256,
            "trace_sha256": unit.trace.sha256,
            "case": asdict(_nameless(case)),
            "cost": asdict(self._cost),
            "made_with": self._made_with,
        }


def _nameless(case: Case) -> Case:
    """The case without the names of its trace, which a policy does not see and nothing depends on."""
    return replace(case, model="", dataset="")
