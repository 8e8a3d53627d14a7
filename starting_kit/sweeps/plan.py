"""What a sweep has to measure, what of it is kept already, and where what is measured is kept: in traces/store.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from placement.grid import Case, Cost
from placement.submission.receipt import file_sha256
from traces.store import find, keep

from .job import Job, made_with
from .trace_file import TraceFile
from .variants import Variant

OK = "ok"
# Rows of another kind of measurement are not found.
MEASURED_BY = file_sha256(Path(__file__).with_name("measurement.py"))


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
        """folder: of the kept rows, made where it is missing. Looks there at once for every case. Raises OSError."""
        self._cost, self._folder, self._made_with = cost, folder.resolve(), made_with()
        self.units = list(units)
        self._rows: dict[tuple[str, str, Case], dict[str, Any]] = {}
        # Jobs keep their rows themselves where the folder is.
        folder.mkdir(parents=True, exist_ok=True)
        self.look()

    def look(self) -> None:
        """Find what is kept of the cases that have no row."""
        for unit in self.units:
            for case in unit.cases:
                if not self.row(unit, case) and (row := find(self._folder, self._made_of(unit, case))) is not None:
                    self._rows[self._key(unit, case)] = row

    def missing(self, at_least: int = 1) -> list[tuple[Unit, Job]]:
        """What is still to be measured, each job with the unit that it is of; equal units once.

        at_least: jobs that are wanted; where there are fewer units, each becomes several jobs.
        """
        left: dict[tuple[str, str], tuple[Unit, tuple[Case, ...]]] = {}
        for unit in self.units:
            if cases := tuple(case for case in unit.cases if not self.row(unit, case)):
                left.setdefault((unit.variant.sha256, unit.trace.sha256), (unit, cases))
        parts = -(-at_least // max(len(left), 1))
        return [
            (unit, self._job(unit, cases[part::parts]))
            for unit, cases in left.values()
            for part in range(min(parts, len(cases)))
        ]

    def landed(self, unit: Unit, cases: Sequence[Case], rows: Sequence[Mapping[str, Any]]) -> None:
        """Take the rows of a job that has ended, and keep those that are ok, each whole or not at all.

        A job that was lost has rows that say so; of its cases those count that it kept before.
        """
        for case, row in zip(cases, rows, strict=True):
            made_of = self._made_of(unit, case)
            found = dict(row) if row["status"] == OK else find(self._folder, made_of) or dict(row)
            if row["status"] == OK:
                keep(self._folder, made_of, row)
            self._rows[self._key(unit, case)] = found

    def row(self, unit: Unit, case: Case) -> dict[str, Any] | None:
        """What is known of a case."""
        return self._rows.get(self._key(unit, case))

    def count(self) -> tuple[int, int]:
        """How many different cases have a row, and how many there are."""
        keys = {self._key(unit, case) for unit in self.units for case in unit.cases}
        return len(keys & self._rows.keys()), len(keys)

    def _job(self, unit: Unit, cases: tuple[Case, ...]) -> Job:
        made_of = tuple(self._made_of(unit, case) for case in cases)
        named = (unit.variant.title, unit.variant.files, unit.trace, cases)
        return Job(*named, self._cost, self._made_with, self._folder, made_of)

    def _key(self, unit: Unit, case: Case) -> tuple[str, str, Case]:
        return unit.variant.sha256, unit.trace.sha256, _nameless(case)

    def _made_of(self, unit: Unit, case: Case) -> dict[str, Any]:
        return {
            "unit": "policy on a case of a trace, without the sandbox and its limits",
            "policy_sha256": unit.variant.sha256,
            "trace_sha256": unit.trace.sha256,
            "case": asdict(_nameless(case)),
            "cost": asdict(self._cost),
            "measured_by": MEASURED_BY,
            "made_with": self._made_with,
        }


def _nameless(case: Case) -> Case:
    """The case without the names of its trace, which a policy does not see and nothing depends on."""
    return replace(case, model="", dataset="")
