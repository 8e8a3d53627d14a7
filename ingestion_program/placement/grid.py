"""The grid: which cases are run, with which window, limits and cost constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Any

from .errors import OrganizerError

# Whether a machine that cannot isolate a policy fully may run one.
SANDBOXES = ("required", "best_effort")


@dataclass(frozen=True)
class Cost:
    """The constants that turn PAR and transmit into modeled seconds."""

    balanced_compute_seconds: float
    expert_bytes: int
    bandwidth_bytes_per_second: float


@dataclass(frozen=True)
class Limits:
    """What a policy may use: seconds by the parent's clock, and bytes."""

    start_seconds: float
    call_seconds: float
    case_seconds: float
    grid_seconds: float
    memory_bytes: int
    log_bytes: int


@dataclass(frozen=True)
class Case:
    """One (model, dataset, ep) with the sizes that follow from it."""

    model: str
    dataset: str
    ep: int
    layers: int
    experts: int
    window: int
    latency: int

    @property
    def devices(self) -> int:
        return self.ep

    @property
    def redundant_experts(self) -> int:
        return self.ep

    @property
    def slots(self) -> int:
        return self.experts // self.ep + 1

    @property
    def name(self) -> str:
        return f"{self.model}/{self.dataset} ep {self.ep}"


@dataclass(frozen=True)
class Grid:
    """Cases in the order in which they are run and listed.

    sandbox: one of SANDBOXES; hidden: a run ends at its first failed case, so that failures tell little of traces
    that nobody may know.
    """

    name: str
    window: int
    latency: int
    cost: Cost
    limits: Limits
    sandbox: str
    hidden: bool
    cases: tuple[Case, ...]

    def by_trace(self) -> list[list[Case]]:
        """Neighbouring cases of one trace, so that the trace is opened once for all of them."""
        return [list(cases) for _, cases in groupby(self.cases, key=lambda case: (case.model, case.dataset))]


def grid_from_mapping(mapping: Any) -> Grid:
    """Build a grid from the content of a grid.yaml.

    Raises OrganizerError for a missing or unknown key, a value of the wrong type or range, an ep that does
    not divide the model's experts, and a case that is listed twice.
    """
    keys = ("name", "window", "latency", "cost", "limits", "sandbox", "hidden", "models", "cases")
    top = _keys(mapping, keys, "grid", optional={"latency": 0, "sandbox": "best_effort", "hidden": False})
    window = _number(top["window"], "window", int, least=1)
    latency = _number(top["latency"], "latency", int, least=0)
    cost = _numbers(Cost, top["cost"], "cost")
    limits = _numbers(Limits, top["limits"], "limits")
    if top["sandbox"] not in SANDBOXES:
        raise _wrong("sandbox", top["sandbox"], f"one of {', '.join(SANDBOXES)}")
    if not isinstance(top["hidden"], bool):
        raise _wrong("hidden", top["hidden"], "true or false")
    models = top["models"]
    if not isinstance(models, Mapping) or not models:
        raise _wrong("models", models, "a mapping of model name to {layers, experts}")
    shapes = {}
    for model, value in models.items():
        shape = _keys(value, ("layers", "experts"), f"models.{model}")
        shapes[model] = tuple(_number(shape[key], f"models.{model}.{key}", int, least=1) for key in shape)
    if not isinstance(top["cases"], list) or not top["cases"]:
        raise _wrong("cases", top["cases"], "a list of {model, dataset, ep: [..]}")
    cases: list[Case] = []
    for row_number, row in enumerate(top["cases"]):
        place = f"cases[{row_number}]"
        row = _keys(row, ("model", "dataset", "ep"), place)
        model = _name(row["model"], f"{place}.model")
        if model not in shapes:
            raise _wrong(f"{place}.model", model, f"one of models: {', '.join(map(str, shapes))}")
        dataset = _name(row["dataset"], f"{place}.dataset")
        if not isinstance(row["ep"], list) or not row["ep"]:
            raise _wrong(f"{place}.ep", row["ep"], "a list of device counts")
        layers, experts = shapes[model]
        for ep in row["ep"]:
            _number(ep, f"{place}.ep", int, least=1)
            if experts % ep:
                raise _wrong(f"{place}.ep", ep, f"a divisor of the {experts} experts of {model}")
            case = Case(model, dataset, ep, layers, experts, window, latency)
            if case in cases:
                raise _wrong(place, case.name, "every case listed once")
            cases.append(case)
    return Grid(_name(top["name"], "name"), window, latency, cost, limits, top["sandbox"], top["hidden"], tuple(cases))


def _wrong(place: str, got: Any, expected: str) -> OrganizerError:
    return OrganizerError(
        f"{place} is not valid", got=repr(got), expected=expected, next_step="correct the grid file", where="grid"
    )


def _keys(value: Any, names: tuple[str, ...], place: str, optional: Mapping[str, Any] | None = None) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(place, value, f"a mapping with the keys {', '.join(names)}")
    complete = {**(optional or {}), **value}
    if set(complete) != set(names):
        raise _wrong(place, sorted(map(str, value)), f"exactly the keys {', '.join(names)}")
    return {name: complete[name] for name in names}


def _numbers(kind: Any, value: Any, place: str) -> Any:
    names = tuple(field.name for field in fields(kind))
    values = _keys(value, names, place)
    kinds = {field.name: int if field.type == "int" else float for field in fields(kind)}
    return kind(**{name: _number(values[name], f"{place}.{name}", kinds[name], least=1) for name in names})


def _number(value: Any, place: str, kind: type, least: int) -> Any:
    kinds = int if kind is int else (int, float)
    # The upper bound refuses NaN and infinity too.
    if not isinstance(value, kinds) or isinstance(value, bool) or not least <= value < 2**63:
        words = "an integer" if kind is int else "a number"
        raise _wrong(place, value, f"{words} of at least {least} and below 2^63")
    return kind(value)


def _name(value: Any, place: str) -> str:
    # A name becomes part of a path, so it must not climb out of the traces' folder.
    if not isinstance(value, str) or not value or value.startswith(".") or set(value) & set("/\\\0"):
        raise _wrong(place, value, "a name without slashes or a leading dot")
    return value
