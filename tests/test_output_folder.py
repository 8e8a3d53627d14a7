"""What the ingestion program clears away before it runs: the platform fills its output with the submission's files."""

from __future__ import annotations

from pathlib import Path

import pytest

import ingestion
from placement.evaluation.result_files import FILES


def names(folder: Path) -> list[str]:
    """Everything in a folder, by relative path."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """An output folder with old results, a participant's files and a link out of it."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").touch()
    folder = tmp_path / "output"
    (folder / "package").mkdir(parents=True)
    for name in (*FILES, "policy.py", "package/data.npy"):
        (folder / name).touch()
    (folder / "link").symlink_to(tmp_path / "outside")
    return folder


def test_on_the_platform_everything_goes_and_links_are_not_followed(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingestion, "PLATFORM_OUTPUT", output)
    ingestion.clear(output)
    assert names(output) == []
    assert names(output.parent / "outside") == ["kept"]


def test_elsewhere_only_old_results_go(output: Path) -> None:
    ingestion.clear(output)
    assert names(output) == ["link", "package", "package/data.npy", "policy.py"]


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    ingestion.clear(tmp_path / "new" / "output")
    assert names(tmp_path) == ["new", "new/output"]


@pytest.mark.parametrize(("folders", "found"), [(["tiny"], "tiny"), ([], ""), (["other"], "")])
def test_traces_lie_in_the_platform_s_folder_or_in_one_named_after_the_grid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folders: list[str], found: str
) -> None:
    monkeypatch.setattr(ingestion, "PLATFORM_TRACES", tmp_path)
    for folder in folders:
        (tmp_path / folder).mkdir()
    assert ingestion.platform_traces("tiny") == tmp_path / found


def test_an_output_that_cannot_be_made_is_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.touch()
    assert ingestion.main(["--output", str(file)]) == 2
    assert capsys.readouterr().out == (
        f"ingestion: the output cannot be written. Got: FileExistsError: [Errno 17] File exists: '{file}'. "
        "Expected: a folder with room for the results. Next: free space, or name another folder with --output.\n"
    )
