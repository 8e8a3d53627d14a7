"""How a next step calls the Python that runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from commands.places import kit_command


@pytest.mark.parametrize(
    ("executable", "path", "called"),
    [
        (".venv/bin/python", ".venv/bin", "python"),
        # As in an environment that is not activated: PATH leads to another Python.
        (".venv/bin/python", "usr/bin", ".venv/bin/python"),
        ("usr/bin/python3", "usr/bin", "python3"),
        ("my envs/bin/python", "usr/bin", "'my envs/bin/python'"),
        ("../else where/python", "", "'{parent}/else where/python'"),
    ],
)
def test_the_python_that_runs_is_called_by_name_or_by_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executable: str, path: str, called: str
) -> None:
    here = tmp_path / "here"
    for name in ("usr/bin/python", "usr/bin/python3", ".venv/bin/python", executable):
        file = here / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(0o755)
    monkeypatch.chdir(here)
    monkeypatch.setenv("PATH", str(here / path))
    monkeypatch.setattr(sys, "executable", os.path.normpath(here / executable))
    expected = f"{called.format(parent=tmp_path)} starting_kit/kit.py run p"
    assert kit_command("run", "p") == expected


def test_the_link_of_an_environment_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "python").symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "env" / "python"))
    assert kit_command() == "env/python starting_kit/kit.py"
