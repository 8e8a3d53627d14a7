"""Installed packages with names of ours: no command takes one of them for its own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import kit
from kit_world import write_kit_world
from submissions import DECLINES, ROOT, write_policy
from traces.generation.profile import Parameters, Profile, write_profile

FOLDERS = ("ingestion_program", "scoring_program", "starting_kit", "tools")
# Ours, and what some were called when an installed package took their place.
NAMES = {
    *(path.stem for folder in FOLDERS for path in (ROOT / folder).glob("*.py")),
    *(path.parent.name for folder in FOLDERS for path in (ROOT / folder).glob("*/__init__.py")),
    *("conversion", "manifest", "progress", "scoring"),
}
KIT = (ROOT / "starting_kit" / "kit.py",)
WORLD = ("--grid", "grid.yaml", "--traces", "traces")
RUN = (*WORLD, "--reference", "reference")
CASE = ("--case", "Small/one:4")
TOOLS = ("bundle", "seal", "rehearse", "benchmark", "judge")
NAMED = ("--model", "M", "--dataset", "d", "--licence", "CC0-1.0")
COMMANDS = {
    "check": (*KIT, "check", "policy", "--grid", "grid.yaml"),
    "run": (*KIT, "run", "policy", *RUN, *CASE, "--output", "out/run"),
    "run of the whole grid": (*KIT, "run", "policy", *RUN, "--output", "out/whole"),
    "compare": (
        *KIT,
        "compare",
        "policy",
        "policy",
        *WORLD,
        *CASE,
        "--seeds",
        1,
        "--iterations",
        30,
        "--output",
        "out",
    ),
    "pack": (*KIT, "pack", "policy", "--grid", "grid.yaml", "--output", "out/submission.zip"),
    "replay": (*KIT, "replay", "policy", *WORLD, *CASE, "--again"),
    "generate": (*KIT, "generate", "--profile", "profile.yaml", "--output", "out/generated"),
    "calibrate": (*KIT, "calibrate", "--help"),
    "statistics": (*KIT, "statistics", "--traces", "made", "--window", 32, "--ep", 4),
    "convert": (*KIT, "convert", "--from", "npy", "made/M/d.npy", *NAMED, "--output", "out/converted"),
    "verify": (*KIT, "verify", "--traces", "made"),
    "inspect": (*KIT, "inspect", "traces/Small/one.npy"),
    "reference": (*KIT, "reference", *WORLD, "--output", "out/reference"),
    "lab": ("-m", "lab", "--help"),
    **{name: (ROOT / "tools" / f"{name}.py", "--help") for name in TOOLS},
}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that finds a broken package of each name, and behind them what is installed here."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=os.name != "nt", with_pip=False)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    for name in NAMES:
        (packages / name).mkdir()
        text = f'raise RuntimeError("the installed package {name} was imported")\n'
        (packages / name / "__init__.py").write_text(text, encoding="utf-8")
    installed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "installed.pth").write_text("\n".join(installed), encoding="utf-8")
    scripts = sysconfig.get_path("scripts", vars={"base": str(folder)})
    return Path(scripts) / Path(sys.executable).name


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of two cases, a policy, a profile, and a trace that was made from it."""
    folder = write_kit_world(tmp_path_factory.mktemp("world"))
    write_policy(folder / "policy", DECLINES)
    write_profile(folder / "profile.yaml", Profile("M", "d", 2, 16, 128, "drawn by hand", Parameters(top_k=2)))
    assert kit.main(["generate", "--profile", str(folder / "profile.yaml"), "--output", str(folder / "made")]) == 0
    return folder


def started(python: Path, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(argument) for argument in (python, *arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_package_is_in_the_way_of_who_does_not_put_ours_in_front(python: Path, tmp_path: Path, name: str) -> None:
    ended = started(python, tmp_path, "-c", f"import {name}")
    assert f"RuntimeError: the installed package {name} was imported" in ended.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_our_own(python: Path, world: Path, name: str) -> None:
    folder = ROOT / "starting_kit" if name == "lab" else world
    ended = started(python, folder, *COMMANDS[name])
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
