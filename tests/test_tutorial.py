"""The tutorial notebook: its cells run in the kit as it is downloaded, and print what is stored in it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundling.parts import kit_files
from bundling.tree import Tree
from judging.ranking import patient
from judging.variants import tutorial_steps
from placement.traces.yaml_file import read_yaml
from test_docs import ROOT, copy_tree

NAME = "starting_kit/tutorial.ipynb"
# Executes the code cells in their order in one namespace, as a notebook does; prints what each printed, by id.
EXECUTOR = """
import contextlib, io, json, sys

printed, namespace = {}, {"__name__": "__main__"}
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile("".join(cell["source"]), cell["id"], "exec"), namespace)
        printed[cell["id"]] = output.getvalue()
print(json.dumps(printed))
"""
NOTEBOOK: dict[str, Any] = json.loads((ROOT / NAME).read_text(encoding="utf-8"))
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
STEPS = tutorial_steps(ROOT / NAME)
COMPARED = [cell for cell in CODE if "compare" in cell["metadata"].get("tags", [])]


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kit as participants download it, made of the tree as it stands."""
    folder = tmp_path_factory.mktemp("tutorial")
    for name, content in kit_files(Tree(copy_tree(folder / "tree"))).items():
        path = folder / "kit" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    # Limits that no busy machine reaches: they change no score.
    grid = folder / "kit" / "ingestion_program" / "grid.yaml"
    grid.write_text(yaml.safe_dump(patient(read_yaml(grid, "grid"))), encoding="utf-8")
    return folder / "kit"


@pytest.fixture(scope="module")
def printed(kit: Path) -> dict[str, str]:
    """What each code cell prints, by the cell's id."""
    # Where there is matplotlib, no window may open.
    environment = os.environ | {"MPLBACKEND": "agg"}
    command = [sys.executable, "-c", EXECUTOR, NAME]
    done = subprocess.run(command, cwd=kit, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def stored(cell: dict[str, Any]) -> str:
    """The text that is stored as a cell's output."""
    return "".join(line for output in cell["outputs"] for line in output.get("text", []))


def without_seconds(text: str) -> str:
    return re.sub(r"\d+(\.\d+)? s\b", "- s", text)


@pytest.mark.guides
@pytest.mark.parametrize("cell", COMPARED, ids=lambda cell: cell["id"])
def test_a_cell_prints_what_is_stored(cell: dict[str, Any], printed: dict[str, str]) -> None:
    assert without_seconds(printed[cell["id"]]) == without_seconds(stored(cell)) != ""


def test_the_steps_lead_from_static_over_the_baseline_to_the_champion() -> None:
    assert COMPARED[-1] is CODE[-1]
    lines = stored(CODE[-1]).splitlines()
    found = [re.match(r"(.+?) +DS-R1 .* mean +([\d.]+)", line) for line in lines]
    means = {match[1]: float(match[2]) for match in found}
    assert list(means) == ["static", *STEPS, "the champion"]
    *_, last, champion = means.values()
    assert means["DS-EPLB"] == 100 and last > champion - 0.5


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_short_and_the_own_ones_are_built_of_blocks(name: str) -> None:
    lines = STEPS[name].splitlines()
    assert len(lines) <= 25 and max(map(len, lines)) <= 120
    assert ("from planning." in STEPS[name]) == (name not in ("hot experts", "DS-EPLB"))


def test_the_cell_that_is_not_compared_is_the_imports_or_a_plot() -> None:
    others = [cell["id"] for cell in CODE if cell not in COMPARED]
    assert others[0] == "setup" and all(name.endswith("-plot") for name in others[1:])


def test_the_notebook_has_the_form_4_5() -> None:
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in NOTEBOOK["cells"]]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-zA-Z0-9-_]{1,64}", name) for name in ids)
    assert all({"execution_count", "metadata", "outputs", "source"} < set(cell) for cell in CODE)


def test_its_links_lead_to_files_of_the_kit(kit: Path) -> None:
    text = "".join("".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "markdown")
    links = re.findall(r"\]\(([^)#]+)", text)
    assert links and all((kit / "starting_kit" / link).is_file() for link in links)


def test_it_says_that_the_traces_are_generated() -> None:
    assert "**They are generated, not recorded**" in "".join("".join(cell["source"]) for cell in NOTEBOOK["cells"])
