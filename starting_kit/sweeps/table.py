"""The table of a sweep: a row for each policy, its parameters, and case, as CSV and Markdown, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from placement.grid import Case, Cost
from scores.modeled_runtime import case_score, modeled_seconds
from scores.problems import sentence
from scores.table import cells, markdown

from .cases import title
from .plan import OK, Plan, Unit

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    *("policy", "model", "dataset", "ep", "redundant_experts", "window", "parameters", "status"),
    *("case_score", "modeled_seconds", "mean_par", "fixed_par", "balancedness", "par_p50", "par_p95", "par_p99"),
    *("transmit_amount", "largest_transmit", "replica_bytes_per_device", "policy_seconds"),
)
# What a terminal and a page show.
SHOWN = (
    *("policy", "parameters", "model", "dataset", "ep", "redundant_experts", "window", "case_score", "mean_par"),
    *("fixed_par", "par_p99", "transmit_amount", "largest_transmit", "modeled_seconds", "replica_gb_per_device"),
    "policy_seconds",
)
NAMING = ("parameters", "model", "dataset", "ep", "redundant_experts", "window")
GB = 1e9


def table_of(plan: Plan, units: Sequence[Unit], baseline: Mapping[str, Unit], cost: Cost) -> pd.DataFrame:
    """A row under COLUMNS for each case of the units, None where it failed; baseline: DS-EPLB's units by trace.

    `.attrs["failed"]` has a sentence for each failed case, `.attrs["values"]` the parameters' values by their text,
    `.attrs["cost"]` the constants of the cost.
    """
    import pandas as pd

    rows, failed = [], []
    for unit in units:
        for case in unit.cases:
            row = plan.row(unit, case)
            rows.append(_row(unit, case, row, plan.row(baseline[unit.trace.name], case), cost))
            if row["status"] != OK:
                failed.append(sentence(row["failure"], f"{unit.variant.title}: {title(case)}"))
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame.attrs["failed"] = failed
    frame.attrs["cost"] = dict(vars(cost))
    frame.attrs["values"] = {unit.variant.parameters: dict(unit.variant.values) for unit in units}
    return frame


def replica_bytes(case: Case, cost: Cost) -> float:
    """The bytes that redundant experts take on a device, over all layers of the model."""
    return case.layers * case.redundant_experts * cost.expert_bytes / case.ep


def cost_text(cost: Mapping[str, float]) -> str:
    """The constants by which moves and memory are priced, in a line."""
    return ", ".join(f"{name} {value:.15g}" for name, value in cost.items())


def shown(frame: pd.DataFrame) -> pd.DataFrame:
    """The table as it is read: fewer columns, bytes in GB, and a failed case's status in place of its score."""
    table = frame.assign(replica_gb_per_device=frame["replica_bytes_per_device"] / GB)
    failed = table["status"] != OK
    table = table[list(SHOWN)].astype(object)
    table.loc[failed, "case_score"] = frame.loc[failed, "status"]
    return table.where(table.notna(), "-")


def narrowed(table: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """The table without the columns that name a case and have one value throughout, and a line that says these."""
    same = [name for name in NAMING if table[name].nunique() == 1]
    line = ", ".join(f"{name} {table[name].iloc[0]}" for name in same if table[name].iloc[0] != "")
    return line, table.drop(columns=same)


def as_csv(frame: pd.DataFrame) -> str:
    """The whole table, every digit."""
    return frame.to_csv(index=False, lineterminator="\n")


def as_markdown(frame: pd.DataFrame) -> str:
    """The table as it is shown, for a document."""
    return markdown(*cells(shown(frame)), ".4f") + "\n"


def _row(
    unit: Unit, case: Case, row: Mapping[str, Any], baseline: Mapping[str, Any] | None, cost: Cost
) -> dict[str, Any]:
    named = {"policy": unit.variant.policy, "parameters": unit.variant.parameters}
    named |= {name: getattr(case, name) for name in ("model", "dataset", "ep", "redundant_experts", "window")}
    made = named | dict(row) | {"replica_bytes_per_device": replica_bytes(case, cost)}
    if row["status"] == OK:
        priced = {"cost": vars(cost)}
        made["modeled_seconds"] = modeled_seconds({**row, **priced})
        if baseline and baseline["status"] == OK:
            made["case_score"] = case_score({**row, **priced}, {**baseline, **priced})
    return made
