"""Grids: the two that ship, what follows from a case, and what is said about a malformed grid file."""

from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from cases import grid_mapping
from placement.errors import OrganizerError
from placement.grid import grid_from_mapping

PROGRAM = Path(__file__).resolve().parents[1] / "ingestion_program"
COST = {"balanced_compute_seconds": 60.0, "expert_bytes": 88_080_384, "bandwidth_bytes_per_second": 900_000_000_000}
LIMITS = {
    "start_seconds": 30,
    "call_seconds": 10,
    "case_seconds": 60,
    "grid_seconds": 1500,
    "memory_bytes": 4 * 2**30,
    "trace_memory_bytes": 6 * 2**30,
    "log_bytes": 64 * 2**10,
}
DS_R1, QWEN3 = (58, 256, (32, 64, 128, 256)), (94, 128, (32, 64, 128))
OFFICIAL = [("DS-R1", dataset, *DS_R1) for dataset in ("ShareGPT", "WildChat", "LmSys", "Mix")]
OFFICIAL += [("Qwen3", dataset, *QWEN3) for dataset in ("ShareGPT", "WildChat", "LmSys")]
SAMPLE = [("DS-R1", "generated", *DS_R1), ("Qwen3", "generated", *QWEN3)]


@pytest.mark.parametrize(
    ("file", "name", "window", "count", "traces"),
    [("grid.yaml", "sample", 128, 7, SAMPLE), ("grid_official.yaml", "official", 1024, 25, OFFICIAL)],
)
def test_the_shipped_grids_are_the_designs(file, name, window, count, traces):
    grid = grid_from_mapping(yaml.safe_load((PROGRAM / file).read_text(encoding="utf-8")))
    expected = [
        (model, dataset, ep, ep, layers, experts, window, 0, 1, 1)
        for model, dataset, layers, experts, eps in traces
        for ep in eps
    ]
    assert [tuple(asdict(case).values()) for case in grid.cases] == expected
    assert len(grid.cases) == count
    assert (grid.name, grid.window, grid.latency) == (name, window, 0)
    assert asdict(grid.cost) == COST
    assert asdict(grid.limits) == LIMITS
    assert [[case.ep for case in cases] for cases in grid.by_trace()] == [list(trace[4]) for trace in traces]


def test_a_case_has_the_sizes_that_follow_from_it():
    first, second = grid_from_mapping(grid_mapping()).cases
    assert (first.devices, first.redundant_experts, first.slots, first.name) == (2, 2, 3, "M/d ep 2")
    assert (second.devices, second.redundant_experts, second.slots, second.name) == (4, 4, 2, "M/d ep 4")


def test_each_ep_is_a_case_with_each_number_of_redundant_experts():
    row = {"model": "M", "dataset": "d", "ep": [2, 4], "redundant_experts": [4, 0]}
    cases = grid_from_mapping(grid_mapping(cases=[row])).cases
    assert [case.name for case in cases] == ["M/d ep 2 +4", "M/d ep 2 +0", "M/d ep 4", "M/d ep 4 +0"]
    assert [case.slots for case in cases] == [4, 2, 2, 1]
    (case,) = grid_from_mapping(grid_mapping(cases=[row | {"ep": [3], "redundant_experts": 2}])).cases
    assert (case.name, case.devices, case.redundant_experts, case.slots) == ("M/d ep 3 +2", 3, 2, 2)


def test_a_model_may_have_groups_and_nodes():
    assert {(case.groups, case.nodes) for case in grid_from_mapping(grid_mapping()).cases} == {(1, 1)}
    sizes = {"layers": 2, "experts": 4, "groups": 4, "nodes": 2}
    cases = grid_from_mapping(grid_mapping(models={"M": sizes})).cases
    assert {(case.groups, case.nodes) for case in cases} == {(4, 2)}


def test_latency_may_be_left_out_and_is_then_0():
    mapping = grid_mapping()
    del mapping["latency"]
    assert grid_from_mapping(mapping).latency == 0
    assert {case.latency for case in grid_from_mapping(grid_mapping(latency=7)).cases} == {7}


def test_cases_keep_the_files_order_and_those_of_one_trace_belong_together_where_they_stand_apart():
    rows = [("d", [4, 2]), ("other", [1]), ("d", [1])]
    grid = grid_from_mapping(grid_mapping(cases=[{"model": "M", "dataset": name, "ep": ep} for name, ep in rows]))
    assert [(case.dataset, case.ep) for case in grid.cases] == [("d", 4), ("d", 2), ("other", 1), ("d", 1)]
    assert [[(case.dataset, case.ep) for case in cases] for cases in grid.by_trace()] == [
        [("d", 4), ("d", 2), ("d", 1)],
        [("other", 1)],
    ]


def case_row(**changes):
    return {"cases": [{"model": "M", "dataset": "d", "ep": [2]} | changes]}


def nested(key, **changes):
    """A section of the grid with some of its keys replaced."""
    return {key: grid_mapping()[key] | changes}


def model(**changes):
    """The grid's model with groups or nodes."""
    return {"models": {"M": {"layers": 2, "experts": 4} | changes}}


def divisor(redundant):
    return f"a divisor of the 4 experts of M and {redundant} redundant ones together"


ANOTHER = "to set another number, add redundant_experts beside ep"
AN_INTEGER, A_NUMBER = "an integer of at least 1 and less than 2^63", "a number of at least 1 and less than 2^63"
SECONDS, BYTES = "a number of at least 1 and at most 1000000", "an integer of at least 1 and at most 4398046511104"
ITERATIONS, EXPERTS = (f"an integer of at least 1 and at most {most}" for most in (1_000_000, 65_536))
A_NAME = "a name without slashes or a leading dot"
CASE_KEYS, MODEL_KEYS = (
    "model, dataset, ep, and optionally redundant_experts",
    "layers, experts, and optionally groups, nodes",
)
COST_KEYS = "exactly the keys balanced_compute_seconds, expert_bytes, bandwidth_bytes_per_second"

MALFORMED = [
    # Whole numbers
    ({"window": 0}, "window", "0", ITERATIONS),
    ({"window": 3.0}, "window", "3.0", ITERATIONS),
    ({"window": "3"}, "window", "'3'", ITERATIONS),
    ({"window": True}, "window", "True", ITERATIONS),
    ({"window": None}, "window", "None", ITERATIONS),
    ({"window": float("nan")}, "window", "nan", ITERATIONS),
    ({"window": 2**63}, "window", "9223372036854775808", ITERATIONS),
    ({"latency": -1}, "latency", "-1", "an integer of at least 0 and at most 1000000"),
    ({"latency": False}, "latency", "False", "an integer of at least 0 and at most 1000000"),
    # Cost and limits
    ({"cost": None}, "cost", "None", f"a mapping with {COST_KEYS.removeprefix('exactly ')}"),
    ({"cost": {}}, "cost", "[]", f"{COST_KEYS}; missing: {COST_KEYS.removeprefix('exactly the keys ')}"),
    (nested("cost", expert_bytes=0), "cost.expert_bytes", "0", AN_INTEGER),
    (nested("cost", expert_bytes=8.5), "cost.expert_bytes", "8.5", AN_INTEGER),
    (nested("cost", balanced_compute_seconds=True), "cost.balanced_compute_seconds", "True", A_NUMBER),
    (nested("cost", balanced_compute_seconds=float("nan")), "cost.balanced_compute_seconds", "nan", A_NUMBER),
    (nested("cost", bandwidth_bytes_per_second=float("inf")), "cost.bandwidth_bytes_per_second", "inf", A_NUMBER),
    (nested("cost", bandwidth_bytes_per_second="9e11"), "cost.bandwidth_bytes_per_second", "'9e11'", A_NUMBER),
    (nested("cost", bandwidth_bytes_per_second=10**400), "cost.bandwidth_bytes_per_second", f"{10**400}", A_NUMBER),
    (nested("cost", expert_bytes=16**4000), "cost.expert_bytes", "an integer of too many digits", AN_INTEGER),
    (nested("limits", call_seconds=0), "limits.call_seconds", "0", SECONDS),
    # 3e6 seconds are more milliseconds than poll takes, 1e10 more than a clock holds.
    (nested("limits", grid_seconds=3e6), "limits.grid_seconds", "3000000.0", SECONDS),
    (nested("limits", grid_seconds=1e10), "limits.grid_seconds", "10000000000.0", SECONDS),
    (nested("limits", memory_bytes=4e9), "limits.memory_bytes", "4000000000.0", BYTES),
    (nested("limits", memory_bytes=2**62), "limits.memory_bytes", "4611686018427387904", BYTES),
    (nested("limits", trace_memory_bytes=7), "limits.trace_memory_bytes", "7", "at least memory_bytes, 4294967296"),
    # Models
    ({"models": {}}, "models", "{}", "a mapping of model name to {layers, experts}"),
    ({"models": ["M"]}, "models", "['M']", "a mapping of model name to {layers, experts}"),
    ({"models": {"M": 2}}, "models.M", "2", f"a mapping with the keys {MODEL_KEYS}"),
    ({"models": {"M": {"layers": 2}}}, "models.M", "['layers']", f"exactly the keys {MODEL_KEYS}; missing: experts"),
    (
        {"models": {"M": {"layers": 0, "experts": 4}}},
        "models.M.layers",
        "0",
        "an integer of at least 1 and at most 10000",
    ),
    ({"models": {"M": {"layers": 2, "experts": 2**62}}}, "models.M.experts", str(2**62), EXPERTS),
    ({"models": {"M": {"layers": 2, "experts": 4.0}}}, "models.M.experts", "4.0", EXPERTS),
    # Cases
    ({"cases": []}, "cases", "[]", "a list of {model, dataset, ep: [..]}"),
    ({"cases": {"M": [2]}}, "cases", "{'M': [2]}", "a list of {model, dataset, ep: [..]}"),
    ({"cases": ["M/d"]}, "cases[0]", "'M/d'", f"a mapping with the keys {CASE_KEYS}"),
    (
        case_row(eps=[2]),
        "cases[0]",
        "['dataset', 'ep', 'eps', 'model']",
        f"exactly the keys {CASE_KEYS}; unknown: 'eps'",
    ),
    (case_row(model="GPT"), "cases[0].model", "'GPT'", "one of models: M"),
    (case_row(model=["M"]), "cases[0].model", "['M']", A_NAME),
    (case_row(ep=[]), "cases[0].ep", "[]", "a list of device counts"),
    (case_row(ep=2), "cases[0].ep", "2", "a list of device counts"),
    (case_row(ep=[2, 3]), "cases[0].ep", "3", f"{divisor(3)}; {ANOTHER}"),
    (case_row(ep=[8]), "cases[0].ep", "8", f"{divisor(8)}; {ANOTHER}"),
    (case_row(ep=[4100]), "cases[0].ep", "4100", "at most 4096 devices"),
    (case_row(ep=[2], redundant_experts=100_000), "cases[0].redundant_experts", "100000", "at most 65536"),
    (case_row(ep=[2], redundant_experts=[2, 1]), "cases[0].ep", "2", divisor(1)),
    (
        case_row(redundant_experts=[]),
        "cases[0].redundant_experts",
        "[]",
        "a number of redundant experts, or a list of them",
    ),
    (case_row(redundant_experts=-2), "cases[0].redundant_experts", "-2", "an integer of at least 0 and less than 2^63"),
    (
        case_row(redundant_experts="2"),
        "cases[0].redundant_experts",
        "'2'",
        "an integer of at least 0 and less than 2^63",
    ),
    (case_row(redundant_experts=[4, 4]), "cases[0]", "'M/d ep 2 +4'", "every case listed once"),
    (case_row(redundant_experts=[2, 2]), "cases[0]", "'M/d ep 2'", "every case listed once"),
    # Groups and nodes
    (model(groups=3), "models.M.groups", "3", "a divisor of the 4 experts of M"),
    (model(groups=2, nodes=4), "models.M.nodes", "4", "a divisor of the 2 groups of M"),
    (model(groups=4, nodes=4), "models.M.nodes", "4", "a divisor of the 2 devices of cases[0]"),
    (model(nodes=0), "models.M.nodes", "0", AN_INTEGER),
    (case_row(ep=[0]), "cases[0].ep", "0", AN_INTEGER),
    (case_row(ep=[True]), "cases[0].ep", "True", AN_INTEGER),
    (case_row(ep=[2.0]), "cases[0].ep", "2.0", AN_INTEGER),
    (case_row(ep=[2, 4, 2]), "cases[0]", "'M/d ep 2'", "every case listed once"),
    ({"cases": case_row()["cases"] * 2}, "cases[1]", "'M/d ep 2'", "every case listed once"),
    # Names, which become part of a path
    *[
        (case_row(dataset=name), "cases[0].dataset", repr(name), A_NAME)
        for name in ("", "..", ".hidden", "../d", "a/b", "/etc/passwd", "a\\b", "d\0", None, 5, ["d"])
    ],
    ({"name": "../sample"}, "name", "'../sample'", A_NAME),
    ({"name": 1}, "name", "1", A_NAME),
    ({"models": {"..": {"layers": 2, "experts": 4}}} | case_row(model=".."), "models", "'..'", A_NAME),
    ({"models": {16**4000: {"layers": 2, "experts": 4}}}, "models", "an integer of too many digits", A_NAME),
    ({"name": ["long"] * 1000}, "name", "['long', " + "'long', " * 61 + "'lo...", A_NAME),
]


def refusal(mapping):
    with pytest.raises(OrganizerError) as caught:
        grid_from_mapping(mapping)
    return str(caught.value)


def text(place, got, expected):
    return f"grid: {place} is not valid. Got: {got}. Expected: {expected}. Next: correct the grid file."


@pytest.mark.parametrize(
    ("changes", "place", "got", "expected"), MALFORMED, ids=[place for _, place, _, _ in MALFORMED]
)
def test_a_malformed_value_is_named_with_its_place(changes, place, got, expected):
    assert refusal(grid_mapping(**changes)) == text(place, got, expected)


KEYS = "name, window, cost, limits, models, cases, and optionally latency, sandbox, hidden, container_seconds"


@pytest.mark.parametrize("missing", ["name", "window", "cost", "limits", "models", "cases"])
def test_a_missing_key_is_refused(missing):
    mapping = grid_mapping()
    del mapping[missing]
    assert refusal(mapping) == text("grid", sorted(mapping), f"exactly the keys {KEYS}; missing: {missing}")


@pytest.mark.parametrize(("section", "missing"), [("cost", "expert_bytes"), ("limits", "log_bytes")])
def test_a_missing_key_of_a_section_is_refused(section, missing):
    mapping = grid_mapping()
    keys = ", ".join(mapping[section])
    del mapping[section][missing]
    expected = f"exactly the keys {keys}; missing: {missing}"
    assert refusal(mapping) == text(section, sorted(mapping[section]), expected)


@pytest.mark.parametrize("mode", ["Required", "", None, True, "none", ["required"]])
def test_an_unknown_sandbox_is_refused(mode):
    assert refusal(grid_mapping(sandbox=mode)) == text("sandbox", repr(mode), "one of required, best_effort")


@pytest.mark.parametrize("value", [1, "yes", None, []])
def test_hidden_is_true_or_false(value):
    assert refusal(grid_mapping(hidden=value)) == text("hidden", repr(value), "true or false")
    assert grid_from_mapping(grid_mapping(hidden=True)).hidden and not grid_from_mapping(grid_mapping()).hidden


def test_a_container_may_take_a_minute_where_nothing_else_is_said():
    assert grid_from_mapping(grid_mapping()).container_seconds == 60
    assert grid_from_mapping(grid_mapping(container_seconds=90)).container_seconds == 90
    assert refusal(grid_mapping(container_seconds=0)) == text("container_seconds", "0", SECONDS)


def test_the_sandbox_is_best_effort_where_nothing_else_is_said():
    assert grid_from_mapping(grid_mapping()).sandbox == "best_effort"
    assert grid_from_mapping(grid_mapping(sandbox="required")).sandbox == "required"


def test_an_unknown_key_is_refused():
    expected = text("grid", sorted([*grid_mapping(), "windows"]), f"exactly the keys {KEYS}; unknown: 'windows'")
    assert refusal(grid_mapping(windows=3)) == expected
    assert refusal({**grid_mapping(), 5: 1}).startswith("grid: grid is not valid. Got: ['5', 'cases', ")


@pytest.mark.parametrize(("content", "got"), [(None, "None"), ([], "[]"), ("sample", "'sample'"), (3, "3")])
def test_a_file_that_is_no_mapping_is_refused(content, got):
    assert refusal(content) == text("grid", got, f"a mapping with the keys {KEYS}")
