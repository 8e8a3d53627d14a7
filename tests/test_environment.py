"""The platform's versions at home, with and without make, and what a system without isolation is told."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

import kit
from bundling.parts import kit_files
from bundling.tree import Tree
from commands import machine
from commands.image import ANY, FILE, PACKAGES
from docs import blocks, copy_tree
from kit_world import refused, write_kit_world
from placement import SIMULATOR_VERSION
from placement.isolation.missing_module import NUMPY, REPLACEMENTS, REQUIREMENTS
from placement.submission.receipt import simulator_sha256
from submissions import ROOT

KIT = ROOT / "starting_kit"
GUIDES = ("README.md", "starting_kit/README.md")
OLD, LATER = '; python_version < "3.13"', '; python_version >= "3.13"'
PIP = ["python3 -m venv .venv", ".venv/bin/python -m pip install -r requirements.txt"]
UV = ["uv venv --python 3.12", "uv pip install -r requirements.txt"]


def requirements(end: str) -> list[str]:
    """The lines of requirements.txt for some Pythons."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line.removesuffix(end) for line in lines if line.endswith(end)]


# What is installed


def test_up_to_python_3_12_the_platform_s_versions_are_installed() -> None:
    there = {package.name: package.version for package in PACKAGES}
    pins = dict(line.split("==") for line in requirements(OLD))
    assert set(pins) == {"numpy", "pandas", "PyYAML", "scipy"}
    assert pins == {name: there[name] for name in pins} and pins["numpy"] == NUMPY


def test_later_pythons_take_what_the_kit_works_with() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (needed,) = re.findall(r"^dependencies = (\[.*\])$", project, re.MULTILINE)
    assert requirements(LATER) == json.loads(needed)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the platform's versions have no wheels for this Python")
def test_the_tests_run_with_the_platform_s_versions() -> None:
    pins = dict(line.split("==") for line in requirements(OLD))
    assert {name: version(name) for name in pins} == pins, "Next: make run, which makes the environment anew"


def test_each_module_of_the_image_has_the_package_that_pip_installs_for_it() -> None:
    rows = {row["name"]: row for row in yaml.safe_load(FILE.read_text(encoding="utf-8"))["packages"]}

    def requirement(name: str) -> str:
        row = rows[name]
        if "with" in row:
            return requirement(row["with"])
        return name if row["version"] == ANY else f"{name}=={row['version']}"

    expected = {module: requirement(name) for name, row in rows.items() for module in row["modules"]}
    assert expected == REQUIREMENTS and not set(REPLACEMENTS) & set(expected)


# make


def make(folder: Path, *arguments: str) -> str:
    """What make would run in a folder."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PYTHON", "MAKEFLAGS", "MAKELEVEL")
    }
    command = ["make", "-n", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """The kit as participants unpack it, without its arrays."""
    folder = tmp_path / "kit"
    for name, content in kit_files(Tree(ROOT)).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_the_kits_makefile_has_only_targets_that_work_there(unpacked: Path) -> None:
    text = (unpacked / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):", text, re.MULTILINE)
    assert targets == ["run", "clean"] and not (unpacked / "kit.mk").exists()
    for target in targets:
        named = re.findall(r"[\w./-]+\.(?:py|txt|toml)\b", make(unpacked, target))
        assert [name for name in named if not (unpacked / name).is_file()] == []
    assert "pip install --quiet --disable-pip-version-check -r requirements.txt\n" in make(unpacked, "run")


def test_another_python_once_named_gets_an_environment_of_its_own(unpacked: Path) -> None:
    (unpacked / ".venv" / "bin").mkdir(parents=True)
    (unpacked / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (unpacked / ".venv" / "ready").touch()
    other = unpacked / "python9"
    other.write_text("#!/bin/sh\necho Python 9.9.9\n")
    other.chmod(0o755)
    ready = ".venv/bin/python starting_kit/kit.py run\n"
    assert make(unpacked, "run") == make(unpacked, "run", f"PYTHON={sys.executable}") == ready
    assert f"{other} -m venv --clear .venv\n" in make(unpacked, "run", f"PYTHON={other}")


@pytest.mark.parametrize(("found", "said"), [((3, 12, 4), ""), ((3, 13, 1), "Python 3.13.1 takes current packages: ")])
def test_a_python_without_the_platform_s_versions_is_said(unpacked: Path, found: tuple, said: str) -> None:
    (line,) = [line for line in make(unpacked, "-B", "run").splitlines() if "takes current packages" in line]
    source = line.partition(" -c '")[2].removesuffix("'")
    text = ".".join(map(str, found))
    there = f"import sys; sys.version_info, sys.version = {found}, '{text} (main)'; {source}"
    done = subprocess.run([sys.executable, "-c", there], capture_output=True, text=True, check=True)
    step = "the platform has Python 3.12 and older ones. Next, for those: make run PYTHON=python3.12\n"
    assert done.stdout == (said and said + step)


# Without make


@pytest.mark.parametrize("guide", GUIDES)
def test_the_guides_show_the_lines_for_pip_and_for_uv(guide: str) -> None:
    shown = [block.splitlines() for block in blocks(guide)]
    assert PIP in shown and UV in shown


@pytest.mark.guides
def test_the_lines_for_pip_make_an_environment_in_which_the_kit_runs(tmp_path: Path) -> None:
    clone = copy_tree(tmp_path / "clone")
    run(PIP[0].replace("python3", sys.executable), clone)
    # What is installed here, so that as a rule nothing is downloaded.
    (packages,) = (clone / ".venv").glob("lib/python*/site-packages")
    (packages / "here.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    run(PIP[1], clone)
    assert run(".venv/bin/python starting_kit/kit.py --version", clone).startswith("kit ")


@pytest.mark.guides
@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed")
def test_the_lines_for_uv_make_an_environment_in_which_the_kit_runs(tmp_path: Path) -> None:
    clone = copy_tree(tmp_path / "clone")
    for line in UV:
        run(line, clone)
    assert run(".venv/bin/python starting_kit/kit.py --version", clone).startswith("kit ")


def run(command: str, folder: Path) -> str:
    """Run a command that must succeed, and return what it printed."""
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_version_is_the_receipt_s(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        kit.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"kit {SIMULATOR_VERSION}, simulator {simulator_sha256()}\n"


# A system without isolation


@pytest.fixture
def macos(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The commands believe to be on macOS, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "SYSTEM", "darwin")


@pytest.mark.parametrize("command", ["check", "run", "replay", "compare"])
def test_a_grid_that_requires_linux_is_refused_elsewhere_before_anything_runs(
    tmp_path: Path, capsys, macos, command: str
) -> None:
    policies = [KIT, KIT] if command == "compare" else [KIT]
    official = ROOT / "ingestion_program" / "grid_official.yaml"
    assert refused(capsys, command, *policies, "--grid", "official") == (
        "kit.py: error: the grid official requires isolation that only Linux has. Got: sandbox: required, "
        "on macOS. Expected: sandbox: best_effort (the scores stay the same). "
        f"Next: sed 's/^sandbox: required/sandbox: best_effort/' {official} > grid_best_effort.yaml, then --grid "
        "grid_best_effort.yaml; run also needs --traces output/official/traces --reference output/official/reference."
    )
    assert list(tmp_path.iterdir()) == []


def test_its_copy_with_best_effort_gives_the_same_scores(tmp_path: Path, capsys, macos, monkeypatch) -> None:
    world = write_kit_world(tmp_path)
    with (world / "grid.yaml").open("a", encoding="utf-8") as grid:
        grid.write("sandbox: required\n")
    paths = ("--traces", "traces", "--reference", "reference", "--output", "out")
    capsys.readouterr()
    told = refused(capsys, "run", KIT, "--grid", "grid.yaml", *paths)
    run(told.partition("Next: ")[2].partition(", then")[0], tmp_path)
    scores = {}
    for name, system in (("grid_best_effort.yaml", "darwin"), ("grid.yaml", "linux")):
        monkeypatch.setattr(machine, "SYSTEM", system)
        assert kit.main(["run", str(KIT), "--grid", name, *paths]) == 0
        scores[name] = json.loads((tmp_path / "out" / "scoring" / "scores.json").read_text(encoding="utf-8"))
    assert scores["grid.yaml"] == scores["grid_best_effort.yaml"]
