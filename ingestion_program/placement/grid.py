"""The grid: which cases are run, with which window, limits and cost constants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .grid_values import checked_keys, checked_name, checked_number, checked_numbers, wrong

# Whether a machine that cannot isolate a policy fully may run one.
SANDBOXES = ("required", "best_effort")


GRID_KEYS = (
    "name",
    "window",
    "latency",
    "cost",
    "limits",
    "sandbox",
    "hidden",
    "container_seconds",
    "models",
    "cases",
)
MODEL_KEYS = ("layers", "experts", "groups", "nodes")
CASE_KEYS = ("model", "dataset", "ep", "redundant_experts")

# By which the worker's time of a run may exceed the program's own, where a grid says nothing else.
CONTAINER_SECONDS = 60.0

# Far beyond any deployment; a slip of the pen must not fill the memory. The page draws as many devices.
MOST_DEVICES, MOST_REDUNDANT = 4096, 65_536


@dataclass(frozen=True)
class Cost:
    """The constants that turn PAR and transmit into modeled seconds."""

    balanced_compute_seconds: float
    expert_bytes: int
    bandwidth_bytes_per_second: float


@dataclass(frozen=True)
class Limits:
    """What a policy may use: seconds by the parent's clock, and bytes.

    trace_memory_bytes: at most held by the policies of a trace's cases together.
    """

    start_seconds: float
    call_seconds: float
    case_seconds: float
    grid_seconds: float
    memory_bytes: int
    trace_memory_bytes: int
    log_bytes: int

    def first_over(self, limit: str, began: float, spent: float, grid_ends: float) -> tuple[str, float]:
        """The limit of seconds that ends first, and its time: the limit of what began, of the case, or of the grid.

        spent: seconds of the case before; grid_ends: when the grid's seconds end.
        """
        ends = {
            limit: began + getattr(self, limit),
            "case_seconds": began + self.case_seconds - spent,
            "grid_seconds": grid_ends,
        }
        return min(ends.items(), key=lambda end: end[1])


@dataclass(frozen=True)
class Case:
    """One (model, dataset, ep) with its redundant experts, and the sizes that follow from them.

    groups, nodes: which mode of DS-EPLB the case is compared with; one of each is the global mode.
    """

    model: str
    dataset: str
    ep: int
    redundant_experts: int
    layers: int
    experts: int
    window: int
    latency: int
    groups: int = 1
    nodes: int = 1

    @property
    def devices(self) -> int:
        return self.ep

    @property
    def slots(self) -> int:
        return (self.experts + self.redundant_experts) // self.ep

    @property
    def name(self) -> str:
        """The name of the case in messages and files of results."""
        return f"{self.model}/{self.dataset} ep {self.ep}{self._redundancy(' ')}"

    @property
    def key(self) -> str:
        """The key of the case in files."""
        return f"{self.model}/{self.dataset}/{self.ep}{self._redundancy()}"

    def _redundancy(self, before: str = "") -> str:
        return "" if self.redundant_experts == self.ep else f"{before}+{self.redundant_experts}"


@dataclass(frozen=True)
class Grid:
    """Cases in the listed order.

    sandbox: one of SANDBOXES; hidden: a run ends at its first failed case, so that failures reveal little of hidden
    traces; container_seconds: what a worker may need to start and end the program's container.
    """

    name: str
    window: int
    latency: int
    cost: Cost
    limits: Limits
    sandbox: str
    hidden: bool
    cases: tuple[Case, ...]
    container_seconds: float = CONTAINER_SECONDS

    def by_trace(self) -> list[list[Case]]:
        """The cases of each trace, wherever they stand in the grid: a trace is opened once for all of its cases."""
        groups: dict[tuple[str, str], list[Case]] = {}
        for case in self.cases:
            groups.setdefault((case.model, case.dataset), []).append(case)
        return list(groups.values())


def grid_from_mapping(mapping: Any) -> Grid:
    """Build a grid from the content of a grid.yaml.

    Raises OrganizerError for a missing or unknown key, a value of the wrong type or range, sizes that do not divide,
    and a case that is listed twice.
    """
    optional = {"latency": 0, "sandbox": "best_effort", "hidden": False, "container_seconds": CONTAINER_SECONDS}
    top = checked_keys(mapping, GRID_KEYS, "grid", optional)
    window = checked_number(top["window"], "window", int, least=1)
    latency = checked_number(top["latency"], "latency", int, least=0)
    cost = checked_numbers(Cost, top["cost"], "cost")
    limits = checked_numbers(Limits, top["limits"], "limits")
    if limits.trace_memory_bytes < limits.memory_bytes:
        raise wrong(
            "limits.trace_memory_bytes", limits.trace_memory_bytes, f"at least memory_bytes, {limits.memory_bytes}"
        )
    if top["sandbox"] not in SANDBOXES:
        raise wrong("sandbox", top["sandbox"], f"one of {', '.join(SANDBOXES)}")
    if not isinstance(top["hidden"], bool):
        raise wrong("hidden", top["hidden"], "true or false")
    container_seconds = checked_number(top["container_seconds"], "container_seconds", float, least=1)
    models = _models(top["models"])
    if not isinstance(top["cases"], list) or not top["cases"]:
        raise wrong("cases", top["cases"], "a list of {model, dataset, ep: [..]}")
    cases: list[Case] = []
    for row_number, row in enumerate(top["cases"]):
        place = f"cases[{row_number}]"
        for case in _cases(row, place, models, window, latency):
            if case in cases:
                raise wrong(place, case.name, "every case listed once")
            cases.append(case)
    name, sandbox, hidden = checked_name(top["name"], "name"), top["sandbox"], top["hidden"]
    return Grid(name, window, latency, cost, limits, sandbox, hidden, tuple(cases), container_seconds)


def _models(models: Any) -> dict[str, dict[str, int]]:
    """Layers, experts, groups and nodes of each model."""
    if not isinstance(models, Mapping) or not models:
        raise wrong("models", models, "a mapping of model name to {layers, experts}")
    sizes = {}
    for model, value in models.items():
        place = f"models.{checked_name(model, 'models')}"
        given = checked_keys(value, MODEL_KEYS, place, optional={"groups": 1, "nodes": 1})
        sizes[model] = size = {key: checked_number(given[key], f"{place}.{key}", int, least=1) for key in given}
        _check_divides(size["groups"], size["experts"], f"{place}.groups", f"experts of {model}")
        _check_divides(size["nodes"], size["groups"], f"{place}.nodes", f"groups of {model}")
    return sizes


def _cases(row: Any, place: str, models: Mapping[str, dict[str, int]], window: int, latency: int) -> Iterator[Case]:
    """The cases of one row: each ep with each number of redundant experts (by default as many as ep)."""
    row = checked_keys(row, CASE_KEYS, place, optional={"redundant_experts": None})
    model = checked_name(row["model"], f"{place}.model")
    if model not in models:
        raise wrong(f"{place}.model", model, f"one of models: {', '.join(map(str, models))}")
    dataset, sizes = checked_name(row["dataset"], f"{place}.dataset"), models[model]
    if not isinstance(row["ep"], list) or not row["ep"]:
        raise wrong(f"{place}.ep", row["ep"], "a list of device counts")
    for ep in row["ep"]:
        if checked_number(ep, f"{place}.ep", int, least=1) > MOST_DEVICES:
            raise wrong(f"{place}.ep", ep, f"at most {MOST_DEVICES} devices")
        _check_divides(sizes["nodes"], ep, f"models.{model}.nodes", f"devices of {place}")
        for redundant in _redundant(row["redundant_experts"], ep, f"{place}.redundant_experts"):
            if redundant > MOST_REDUNDANT:
                raise wrong(f"{place}.redundant_experts", redundant, f"at most {MOST_REDUNDANT}")
            if (sizes["experts"] + redundant) % ep:
                both = f"{sizes['experts']} experts of {model} and {redundant} redundant ones together"
                both += (
                    "; to set another number, add redundant_experts beside ep"
                    if row["redundant_experts"] is None
                    else ""
                )
                raise wrong(f"{place}.ep", ep, f"a divisor of the {both}")
            yield Case(model, dataset, ep, redundant, window=window, latency=latency, **sizes)


def _redundant(value: Any, ep: int, place: str) -> list[int]:
    if value is None:
        return [ep]
    values = value if isinstance(value, list) else [value]
    if not values:
        raise wrong(place, value, "a number of redundant experts, or a list of them")
    return [checked_number(number, place, int, least=0) for number in values]


def _check_divides(part: int, whole: int, place: str, words: str) -> None:
    if whole % part:
        raise wrong(place, part, f"a divisor of the {whole} {words}")
