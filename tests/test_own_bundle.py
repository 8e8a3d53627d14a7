"""The guide to a competition on own traces, followed line by line: kit, pages, references and both phases are right."""

from __future__ import annotations

import json
import re
import shlex
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import yaml

import bundle
import kit
import seal
from bundles import NAME, WHEEL, built, write_tree
from bundling.check import check
from bundling.reader import Fault, members
from commands.archive import archive, unpack
from docs import ROOT, blocks, execute
from placement.grid import CASE_KEYS, GRID_KEYS, MODEL_KEYS, Cost, Limits, grid_from_mapping
from submissions import run_program
from traces.generation.profile import DEFAULTS, HEAD

pytestmark = pytest.mark.guides

GUIDE, KEYS = "docs/own_traces.md", "docs/keys.md"
BUILD = ".venv/bin/python tools/bundle.py build"
DRAW = ".venv/bin/python tools/bundle.py draw"
CHECK = ".venv/bin/python tools/bundle.py check dist/competition.zip"


def correct(tree: Path, fault: Fault) -> None:
    """Do what a fault of a page or of the kit's guide says, and nothing else."""
    place = re.fullmatch(r"(?:starting kit/)?([\w./]+)(?:, line (\d+))?", fault.where[0])
    assert place, fault
    path = tree / place[1]
    lines = path.read_text(encoding="utf-8").split("\n")
    # Behind the figure stands whose it is.
    expected = fault.expected.partition(" (phase")[0].partition(" (ingestion_program")[0]
    if place[2] is None:
        # A line that is missing goes below the table's head that its first cell belongs to.
        head = {"not list the model": "| model | what", "not list the grid": "| grid | model"}
        (begin,) = [begin for words, begin in head.items() if words in fault.what]
        number = next(number for number, line in enumerate(lines) if line.startswith(begin))
        lines[number + 2 : number + 2] = expected.split("\n")
    elif fault.next_step == "remove its lines" or "scores" in fault.what:
        # The gallery's row, or the grid's rows.
        number = int(place[2]) - 1
        last = number + 1
        while lines[last].startswith("| | `"):
            last += 1
        del lines[number:last]
    elif "not recorded" in fault.got:
        lines[int(place[2]) - 1] = lines[int(place[2]) - 1].replace(fault.got, "recorded")
    elif expected.startswith("no grid"):
        lines[int(place[2]) - 1] = "That makes 25 cases in the official grid and 11 in the practice grid."
        del lines[int(place[2])]
    else:
        assert lines[int(place[2]) - 1].count(fault.got), fault
        lines[int(place[2]) - 1] = lines[int(place[2]) - 1].replace(fault.got, expected, 1)
    path.write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with two recordings, after the guide's lines; every fault that a build named was corrected as it says."""
    tree = write_tree(tmp_path_factory.mktemp("own") / "tree", stubs=False)
    (tree / "output" / "counts").mkdir(parents=True)
    for number, name in enumerate(("open", "hidden")):
        counts = np.random.default_rng(number).integers(1, 9, (40, 2, 8)) * [9, 5, 3, 2, 1, 1, 1, 1]
        np.save(tree / "output" / "counts" / f"{name}.npy", counts)
    for block in blocks(GUIDE):
        if file := re.match(r"# (\S+)\n", block):
            (tree / file[1]).write_text(block, encoding="utf-8")
            continue
        for line in block.splitlines():
            if line == BUILD:
                build(tree)
            elif line == DRAW:
                assert bundle.draw(tree) == 0
            elif line == CHECK:
                assert bundle.main(["check", str(tree / "dist" / "competition.zip")]) == 0
            elif " convert " in line or "seal.py" in line:
                program = {"starting_kit/kit.py": kit.main, "tools/seal.py": seal.main}[line.split()[1]]
                with pytest.MonkeyPatch.context() as context:
                    context.chdir(tree)
                    assert program(shlex.split(line)[2:]) == 0
            else:
                done = execute(line, tree)
                assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return tree


def build(tree: Path) -> None:
    """Build until nothing is left to correct."""
    for _ in range(4):
        faults = check(archive(built(tree)), NAME)
        # From below: the numbers of lines above stay. What is missing comes last.
        for fault in sorted(faults, key=lambda fault: -int((re.findall(r"line (\d+)", fault.where[0]) or [0])[0])):
            correct(tree, fault)
        if not faults:
            break
    assert bundle.build(tree, tree / "dist" / NAME, tree / "keys", tree / bundle.PHASES, WHEEL) == 0


@pytest.fixture(scope="module")
def parts(tree: Path) -> dict[str, dict[str, bytes]]:
    """The files of each zip of the bundle."""
    whole = unpack((tree / "dist" / "competition.zip").read_bytes())
    return {name: unpack(data) for name, data in whole.items() if name.endswith(".zip")}


def test_the_kit_has_the_own_traces_with_their_grid_and_reference(parts: dict[str, dict[str, bytes]]) -> None:
    kit = parts["starting_kit.zip"]
    assert sorted(yaml.safe_load(kit["sample_traces/manifest.yaml"])["traces"]) == ["Mine/chat"]
    arrays = [name for name in kit if name.endswith((".npy", ".npz"))]
    assert len(arrays) == 2 and "reference_data/series.npz" in arrays
    assert kit["ingestion_program/grid.yaml"] == parts["ingestion_development.zip"]["grid.yaml"]
    assert kit["reference_data/ds_eplb.json"] == parts["reference_development.zip"]["ds_eplb.json"]


def test_pages_and_guide_state_the_own_constants_window_and_latency(tree: Path) -> None:
    evaluation, data = ((tree / "pages" / f"{name}.md").read_text("utf-8") for name in ("evaluation", "data"))
    constants = dict(re.findall(r"^(\w+) += ([\d_.]+)$", evaluation, re.MULTILINE))
    assert {name: float(text) for name, text in constants.items()} == {
        "balanced_compute_seconds": 50,
        "expert_bytes": 44040192,
        "bandwidth_bytes_per_second": 450e9,
    }
    # 44040192 / 450e9 seconds a slot; 2 layers, 4 devices, 3 slots.
    assert "One changed slot costs 0.0000979 s.\nChanging all 24 slots of Mine at ep 4 costs 0.0023 s, " in evaluation
    assert "would cost 50 s in every case" in evaluation and "| `grid_seconds` | 1500 s |" in evaluation
    assert "| Development | chat | 8 | 1 | 2 |\n| Final | final | 8 | 1 | 2 |" in data
    assert "| chat, window 8 | `Mine` | chat | 2, 4 | 2 |" in data and "sample, window" not in data
    guide = (tree / "starting_kit" / "README.md").read_text("utf-8")
    assert "*Sample*, window 8, latency 1" in guide
    assert "modeled seconds = 50 * mean PAR + changed slots * 0.0000979" in guide
    # 50 / (44040192 / 450e9)
    assert "worth 510 897 slots" in guide and "--case Mine/chat:2 " in guide


@pytest.mark.parametrize(("phase", "traces"), [("development", "sample_traces"), ("final", "output/sealed")])
def test_ds_eplb_scores_100_in_both_phases(
    tree: Path, parts: dict[str, dict[str, bytes]], phase: str, traces: str, tmp_path: Path
) -> None:
    for name in (f"ingestion_{phase}", "scoring_program", f"reference_{phase}"):
        for file, content in parts[f"{name}.zip"].items():
            # The stand-in for the package that opens sealed traces: here the real one is installed.
            if not file.startswith("vendor/"):
                (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name / file).write_bytes(content)
    done = run_program(
        tmp_path / f"ingestion_{phase}" / "ingestion.py",
        *("--submission", str(tree / "starting_kit" / "policies" / "ds_eplb"), "--traces", str(tree / traces)),
        *("--output", str(tmp_path / "results")),
    )
    if phase == "final" and sys.platform != "linux":
        pytest.skip("the Final's grid requires a sandbox that this system has not")
    assert done.returncode == 0, done.stdout + done.stderr
    done = run_program(
        tmp_path / "scoring_program" / "scoring.py",
        *("--results", str(tmp_path / "results"), "--reference", str(tmp_path / f"reference_{phase}")),
        *("--output", str(tmp_path / "scores")),
    )
    assert done.stdout.splitlines()[-1] == "composite_score: 100.0000", done.stdout + done.stderr
    # The constants of the reference, which the scorer uses.
    rows = json.loads(parts[f"reference_{phase}.zip"]["ds_eplb.json"])["cases"]
    assert [row["cost"]["balanced_compute_seconds"] for row in rows] == [50, 50]


def test_nothing_of_the_hidden_trace_is_in_the_bundle_but_its_reference(tree: Path) -> None:
    whole = unpack((tree / "dist" / "competition.zip").read_bytes())
    sealed = yaml.safe_load((tree / "output" / "sealed" / "manifest.yaml").read_bytes())["traces"]["Mine/trace-01"]
    found = [str(member) for member in members(whole) if sealed["sha256"].encode() in member.content]
    assert [name for name in found if not name.endswith(".zip")] == ["reference_final.zip/ds_eplb.json"]
    assert not [str(m) for m in members(whole) if b"Mine/code" in m.content]


def test_git_ignores_what_the_guide_keeps_hidden() -> None:
    text = (ROOT / GUIDE).read_text("utf-8")
    (line,) = re.findall(r"^\.venv/bin/python tools/seal.py .*$", text, re.MULTILINE)
    hidden = re.findall(r"--from npy (\S*hidden\S*)", text) + re.findall(r"--(?:traces|output|key) (\S+)", line)
    ignored = (ROOT / ".gitignore").read_text("utf-8").split()
    assert len(hidden) == 4 and all(f"{name.partition('/')[0]}/" in ignored for name in hidden), hidden


# The tables of keys


def table(heading: str) -> dict[str, list[str]]:
    """The rows of the table of the page of keys with this first heading: its other cells, by each key."""
    text = (ROOT / KEYS).read_text(encoding="utf-8")
    (body,) = re.findall(rf"^\| {re.escape(heading)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines()]
    return {key: row[1:] for row in rows for key in re.findall(r"`(\w+)`", row[0])}


def grid_heading() -> str:
    """The first of the tables, whose heading another one has, too."""
    text = (ROOT / KEYS).read_text(encoding="utf-8")
    return text.partition("| key of `cost`")[0]


def test_the_page_of_keys_has_those_that_a_grid_takes() -> None:
    assert re.findall(r"^\| `(\w+)` \|", grid_heading(), re.MULTILINE) == list(GRID_KEYS)
    assert list(table("key of `cost`")) == [field.name for field in fields(Cost)]
    assert list(table("key of `limits`")) == [field.name for field in fields(Limits)]
    assert list(table("key of a model")) == list(MODEL_KEYS)
    assert list(table("key of a case's line")) == list(CASE_KEYS)


def test_the_keys_without_a_default_make_a_grid_with_the_defaults_that_the_page_says() -> None:
    defaults = dict(re.findall(r"^\| `(\w+)` \|.*\| ?`?([\w.]*)`? \|$", grid_heading(), re.MULTILINE))
    content = yaml.safe_load((ROOT / "ingestion_program" / "grid.yaml").read_bytes())
    grid = grid_from_mapping({key: content[key] for key, default in defaults.items() if not default})
    for key, default in defaults.items():
        assert not default or getattr(grid, key) == yaml.safe_load(default)


def test_the_page_of_keys_has_those_of_a_profile_and_their_defaults() -> None:
    text = (ROOT / KEYS).read_text(encoding="utf-8").partition("## A profile")[2]
    head = re.findall(r"`(\w+)`", re.findall(r"^\| key \|(?:.*\n)+?\n", text, re.MULTILINE)[0])
    assert head == list(HEAD)
    rows = table("key of `parameters`")
    assert sorted(rows) == sorted(DEFAULTS)
    for key, (_, default) in rows.items():
        told = yaml.safe_load(f"[{default}]")
        # Two keys that share a row have two defaults, or one for both.
        place = [other for other, row in rows.items() if row[1] == default].index(key) if len(told) > 1 else 0
        value = told[place]
        assert (tuple(value) if isinstance(value, list) else value) == DEFAULTS[key], key
