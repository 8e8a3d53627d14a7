"""Whether the pages say what competition.yaml says and what the programs do."""

from __future__ import annotations

import importlib
import io
import math
import re
from contextlib import redirect_stdout
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
COMPETITION: dict[str, Any] = yaml.safe_load((ROOT / "competition.yaml").read_text(encoding="utf-8"))
PAGES = sorted((ROOT / "pages").glob("*.md"))
PHASES: list[dict[str, Any]] = COMPETITION["phases"]
LEADERBOARD: dict[str, Any] = COMPETITION["leaderboards"][0]

Table = list[dict[str, str]]


def page(name: str) -> str:
    """Text of a page."""
    return (ROOT / "pages" / f"{name}.md").read_text(encoding="utf-8")


def tables(text: str) -> list[Table]:
    """Tables of a page, each a list of {heading: cell}, without the code marks."""
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE):
        lines = [line[1:-1].replace("`", "").split("|") for line in block.splitlines()]
        rows = [[cell.strip() for cell in line] for line in lines]
        found.append([dict(zip(rows[0], row, strict=True)) for row in rows[2:]])
    return found


def table(name: str, *headings: str) -> Table:
    """The one table of a page that has these headings."""
    (found,) = [rows for rows in tables(page(name)) if set(headings) <= set(rows[0])]
    return found


def code_blocks(name: str) -> list[str]:
    """Python code blocks of a page."""
    return re.findall(r"```python\n(.*?)```", page(name), flags=re.DOTALL)


def load_yaml(path: str) -> dict[str, Any]:
    """Content of a YAML file of the repository."""
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


# What Codabench shows


def test_every_page_is_shown_under_a_title() -> None:
    assert sorted(page["file"] for page in COMPETITION["pages"]) == [f"pages/{path.name}" for path in PAGES]
    assert all(page["title"] for page in COMPETITION["pages"])


def test_the_evaluation_page_explains_every_column_in_its_order() -> None:
    rows = table("evaluation", "column", "better")
    words = {"desc": "higher", "asc": "lower"}
    columns = [(column["key"], words[column["sorting"]]) for column in LEADERBOARD["columns"]]
    assert [(row["column"], row["better"]) for row in rows] == columns


def test_columns_are_called_by_their_keys_and_show_the_digits_that_the_page_says() -> None:
    assert all(column["title"] == column["key"] for column in LEADERBOARD["columns"])
    (digits,) = re.findall(r"the board shows (\d+)", page("evaluation"))
    assert {column["precision"] for column in LEADERBOARD["columns"]} == {int(digits)}


def test_phases_and_tasks_share_their_names() -> None:
    names = [phase["name"] for phase in PHASES]
    assert names == [task["name"] for task in COMPETITION["tasks"]]
    assert names == [row["phase"] for row in table("rules", "per day")]


@pytest.mark.parametrize("name", ["policy", "rules"])
def test_the_image_on_the_pages_is_that_of_the_competition(name: str) -> None:
    assert set(re.findall(r"codalab/[\w.:-]+", page(name))) == {COMPETITION["docker_image"]}


# The pages


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_page_has_a_heading_and_closes_its_code(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert text.count("```") % 2 == 0


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_page_tables_have_as_many_cells_as_headings(path: Path) -> None:
    assert all(rows for rows in tables(path.read_text(encoding="utf-8")))


def test_pages_state_the_numbers_of_submissions() -> None:
    rules, overviews = table("rules", "per day"), table("overview", "submissions")
    for phase, rule, overview in zip(PHASES, rules, overviews, strict=True):
        assert rule["phase"] == overview["phase"] == phase["name"]
        daily, total = phase["max_submissions_per_day"], phase["max_submissions"]
        assert (rule["per day"], rule["in all"]) == (str(daily), str(total))
        assert overview["submissions"] == f"{daily} a day, {total} in all"


def test_limits_on_the_evaluation_page_are_those_of_the_grid() -> None:
    limits = load_yaml("ingestion_program/grid.yaml")["limits"]
    rows = table("evaluation", "key in grid.yaml", "value")
    stated = {row["key in grid.yaml"]: int(row["value"].split()[0]) for row in rows}
    units = {row["key in grid.yaml"]: row["value"].split()[1] for row in rows}
    assert stated == limits
    assert units == {key: "s" if key.endswith("_seconds") else "bytes" for key in limits}


def test_limits_on_the_policy_page_are_those_of_the_grid() -> None:
    limits = load_yaml("ingestion_program/grid.yaml")["limits"]
    text = re.sub(r"\s+", " ", page("policy"))
    for key in ("start_seconds", "call_seconds", "case_seconds", "grid_seconds"):
        assert f" {limits[key]} s" in text, key
    assert f" {limits['memory_bytes'] / 2**30:g} GiB of memory" in text
    assert f" {limits['log_bytes'] / 2**10:g} KiB per case" in text
    assert f"at most {limits['grid_seconds']} s: then" in page("rules")


def stated_constants() -> dict[str, float]:
    """Cost constants of the evaluation page's first code block."""
    found = re.findall(r"^(\w+) += ([\d_.]+)$", page("evaluation"), flags=re.MULTILINE)
    return {name: float(value) for name, value in found}


@pytest.mark.parametrize("grid", ["grid", "grid_official"])
def test_cost_constants_on_the_evaluation_page_are_those_of_the_grids(grid: str) -> None:
    assert stated_constants() == load_yaml(f"ingestion_program/{grid}.yaml")["cost"]


@pytest.mark.parametrize(
    ("grid", "name"), [("grid", "sample"), ("grid_practice", "practice"), ("grid_official", "official")]
)
def test_cases_on_the_data_page_are_those_of_the_grids(grid: str, name: str) -> None:
    content = load_yaml(f"ingestion_program/{grid}.yaml")
    expected = {(c["model"], c["dataset"], ep) for c in content["cases"] for ep in c["ep"]}
    stated, heading, count = set(), "", 0
    for row in table("data", "grid", "datasets"):
        heading = row["grid"] or heading
        if heading == f"{name}, window {content['window']}":
            datasets, devices = row["datasets"].split(", "), row["ep"].split(", ")
            stated |= {(row["model"], dataset, int(ep)) for dataset in datasets for ep in devices}
            count += int(row["cases"])
    assert stated == expected
    assert count == len(expected)
    assert re.search(rf"\b{count} (cases )?in the {name} grid", page("data"))


def test_models_on_the_data_page_are_those_of_the_grids() -> None:
    rows = table("data", "layers")
    stated = {row["model"]: {key: int(row[key]) for key in ("layers", "experts")} for row in rows}
    for grid in ("grid", "grid_official"):
        assert load_yaml(f"ingestion_program/{grid}.yaml")["models"] == stated


def test_statuses_on_the_evaluation_page_are_those_of_the_simulator() -> None:
    statuses = importlib.import_module("placement.errors").PolicyError.STATUSES
    stated = [row["status of a case"] for row in table("evaluation", "status of a case")]
    assert stated == ["ok", *statuses]
    refused = {row["status of the case"] for row in table("policy", "status of the case")}
    assert refused == set(statuses)


# The worked example


def parse_rows(text: str) -> list[list[int]]:
    """Rows like `[0 1 1][2 3 3]` as nested lists."""
    return [[int(expert) for expert in row.split()] for row in re.findall(r"\[(.*?)\]", text)]


def example_rows() -> dict[str, list[list[int]]]:
    """The example's named rows: A0, P, B, C."""
    return {row["name"].split(",")[0]: parse_rows(row["rows"]) for row in table("evaluation", "name", "rows")}


def example(answers: list[Any], latency: int = 0) -> Any:
    """Replay the worked example with one answer per call."""
    oracle = importlib.import_module("benchmarking.plain_replay")
    hotness = np.tile(np.array([4, 2, 1, 0], np.int32), (12, 2, 1))
    answers = list(answers)
    return oracle.plain_replay(hotness, 2, 3, latency, lambda window, deployment, iteration: answers.pop(0))


def example_answers() -> list[Any]:
    """The answers of call 1 and call 2."""
    rows = example_rows()
    ignored = [[3, 3, 3], [3, 3, 3]]
    return [([1, 0], [rows["B"], rows["P"]]), ([0], [rows["C"], ignored])]


def ds_eplb_rows() -> list[list[int]]:
    """What the page says DS-EPLB answers for both layers."""
    found = re.search(r"DS-EPLB answers `([^`]+)`", page("evaluation"))
    assert found
    return parse_rows(found[1])


def test_the_example_starts_with_the_initial_deployment() -> None:
    deployment = importlib.import_module("placement.deployment")
    assert deployment.initial_deployment(1, 4, 2)[0].tolist() == example_rows()["A0"]


def test_the_examples_rows_have_the_stated_par() -> None:
    plain_par = importlib.import_module("benchmarking.plain_replay").plain_par
    for row in table("evaluation", "name", "rows"):
        assert f"{plain_par([4, 2, 1, 1], parse_rows(row['rows'])):.2f}" == row["PAR"]


def test_the_example_runs_as_its_table_says() -> None:
    result = example(example_answers())
    total, calls = 0, []
    iterations: list[int] = []
    for row in table("evaluation", "i", "changed"):
        first, last = (row["i"].split("-") * 2)[:2]
        for i in range(int(first), int(last) + 1):
            iterations.append(i)
            assert [f"{value:.2f}" for value in result.par[i - 1]] == [row["PAR 0"], row["PAR 1"]], i
            assert result.transmit_per_iteration[i - 1] == int(row["changed"]), i
            total += int(row["changed"])
            assert total == int(row["total"]), i
        if found := re.match(r"call \d sees (\d+)\.\.(\d+)", row["then"]):
            calls.append((int(first), int(found[1]), int(found[2])))
    assert iterations == list(range(1, 13))
    assert calls == result.calls
    assert f"add up to {math.fsum(chain.from_iterable(result.par)):.2f}" in page("evaluation")


def test_the_example_and_its_variants_score_what_the_page_says() -> None:
    constants = stated_constants()
    first, second = example_answers()
    ds_eplb = ([0, 1], [ds_eplb_rows(), ds_eplb_rows()])
    runs = {
        "as above": example([first, second]),
        "call 1 declines": example([None, first]),
        "as above, latency 2": example([first, second], latency=2),
        "DS-EPLB": example([ds_eplb, ds_eplb]),
    }
    assert runs["call 1 declines"].calls == [(4, 2, 4), (8, 6, 8)]
    assert runs["as above, latency 2"].calls == [(4, 2, 4), (12, 10, 12)]

    def modeled_time(run: Any) -> float:
        transfer = run.transmit_amount * constants["expert_bytes"] / constants["bandwidth_bytes_per_second"]
        return constants["balanced_compute_seconds"] * run.mean_par + transfer

    rows = {row["run"]: row for row in table("evaluation", "run", "case_score")}
    assert list(rows) == list(runs)
    for name, run in runs.items():
        assert rows[name]["mean_par"] == f"{run.mean_par:.12f}"
        assert rows[name]["transmit_amount"] == str(run.transmit_amount)
        assert rows[name]["modeled_time"] == f"{modeled_time(run):.10f}"
        if rows[name]["case_score"]:
            score = 100 * modeled_time(runs["DS-EPLB"]) / modeled_time(run)
            assert rows[name]["case_score"] == f"{score:.10f}"


def test_ds_eplb_answers_the_example_as_the_page_says() -> None:
    ds_eplb = importlib.import_module("placement.ds_eplb").ds_eplb
    assert ds_eplb(np.array([[12, 6, 3, 3]]), 2, 2)[0].tolist() == ds_eplb_rows()


# The pages' code


@pytest.fixture
def window() -> np.ndarray:
    """Hotness [window, L, E] with one flat layer and one skewed layer."""
    hotness = np.full((5, 2, 8), 10, np.int32)
    hotness[:, 1, :2] = 60
    return hotness


def test_the_function_on_the_policy_page_is_ds_eplb(window: np.ndarray) -> None:
    namespace: dict[str, Any] = {}
    exec(code_blocks("policy")[0], namespace)
    change, priority, deployment_table, _ = namespace["rebalance"](window, 4, 4)
    assert change is True
    assert priority == [0, 1]
    ds_eplb = importlib.import_module("placement.ds_eplb").ds_eplb
    assert np.array_equal(deployment_table, ds_eplb(window.sum(axis=0), 4, 4))


def test_the_class_on_the_policy_page_redeploys_only_what_is_unbalanced(window: np.ndarray) -> None:
    namespace: dict[str, Any] = {}
    exec(code_blocks("policy")[1], namespace)
    initial = importlib.import_module("placement.deployment").initial_deployment(2, 8, 4)
    policy = namespace["Policy"](SimpleNamespace(devices=4, redundant_experts=4))
    priority, deployment_table = policy.rebalance(window, initial, 6)
    assert priority == [1]
    assert deployment_table.shape == initial.shape
    assert policy.rebalance(np.full_like(window, 10), initial, 6) is None


def test_the_hash_on_the_data_page_is_the_simulators() -> None:
    (code,) = code_blocks("data")
    namespace: dict[str, Any] = {}
    with redirect_stdout(io.StringIO()) as printed:
        exec(code, namespace)
    assert code.rstrip().endswith(f"# {printed.getvalue().strip()}")
    trace_sha256 = importlib.import_module("placement.trace").trace_sha256
    stored = np.arange(24).reshape(2, 3, 4)
    assert namespace["trace_sha256"](stored) == trace_sha256(stored)
