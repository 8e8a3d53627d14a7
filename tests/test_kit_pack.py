"""`kit.py pack`: what is in the zip, that it is the same again, and that what the platform refuses is not packed."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import pytest
import yaml

import kit
from commands.policy_folder import KIT_FILES, staged
from placement.errors import SubmissionRefused
from placement.submission.folder import find_policy
from placement.submission.receipt import policy_sha256
from submissions import DECLINES, ROOT, grid_mapping, write_policy

KIT = ROOT / "starting_kit"
FILES = {"part/rows.py": "ROWS = 1\n", "table.txt": "1 2\n"}
JUNK = {".git/config": "", "__pycache__/policy.pyc": "", "part/.hidden": "", "old.zip": "", ".DS_Store": ""}


@pytest.fixture
def pack(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """`kit.py pack` on the tiny grid: the exit code, the lines printed and the zip."""
    grid = tmp_path / "grid.yaml"
    grid.write_text(yaml.safe_dump(grid_mapping()))

    def run(policy: Path, name: str = "submission.zip") -> tuple[int, list[str], Path]:
        output = tmp_path / "packed" / name
        code = kit.main(["pack", str(policy), "--output", str(output), "--grid", str(grid)])
        return code, capsys.readouterr().out.splitlines(), output

    return run


def names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_the_platform_accepts_what_is_packed(pack, tmp_path: Path) -> None:
    folder = write_policy(tmp_path / "policy", DECLINES, FILES | JUNK)
    code, lines, path = pack(folder)
    assert code == 0 and names(path) == ["part/rows.py", "policy.py", "table.txt"]
    unpacked = tmp_path / "unpacked"
    zipfile.ZipFile(path).extractall(unpacked)
    assert find_policy(unpacked) == (unpacked, "")
    assert (unpacked / "part" / "rows.py").read_text() == FILES["part/rows.py"]
    *_, first, second, third, left_out, summary, last = lines
    assert first == f"  part/rows.py  {9:>9} bytes"
    assert (second.split()[0], third.split()[0]) == ("policy.py", "table.txt")
    assert left_out == "left out: .DS_Store, .git/, __pycache__/, old.zip, part/.hidden"
    assert summary.startswith(f"{path}: 3 files, {path.stat().st_size} bytes, sha256 ")
    assert summary.endswith(f", policy {policy_sha256(unpacked)}")
    assert last == f"Next: upload {path} on the competition's page, tab My Submissions"


def test_the_same_files_give_the_same_bytes(pack, tmp_path: Path) -> None:
    first = write_policy(tmp_path / "first", DECLINES, FILES)
    second = shutil.copytree(first, tmp_path / "second", copy_function=shutil.copyfile)
    for path in second.rglob("*"):
        os.utime(path, (10**9, 10**9))
    (second / "policy.py").chmod(0o755)
    assert pack(first)[2].read_bytes() == pack(second, "again.zip")[2].read_bytes()


def test_the_template_is_packed_without_the_kit(pack) -> None:
    code, lines, path = pack(KIT)
    assert code == 0 and names(path) == ["policy.py"]
    assert not [line for line in lines if line.startswith("left out: ") and "__pycache__" not in line]


def test_all_that_lies_beside_the_template_is_known_as_the_kit_s() -> None:
    there = {path.name for path in KIT.iterdir() if path.name != "__pycache__" and not path.name.startswith(".")}
    assert there == {*KIT_FILES, "policy.py"}


def test_an_outer_folder_is_not_packed(pack, tmp_path: Path) -> None:
    write_policy(tmp_path / "outer" / "inner", DECLINES)
    code, _, path = pack(tmp_path / "outer")
    assert code == 0 and names(path) == ["policy.py"]


def test_a_link_is_packed_as_what_it_leads_to(pack, tmp_path: Path) -> None:
    folder = write_policy(tmp_path / "policy", DECLINES, FILES)
    (folder / "rows.py").symlink_to("part/rows.py")
    (folder / "other").symlink_to("part")
    code, _, path = pack(folder)
    assert code == 0 and names(path) == ["other/rows.py", "part/rows.py", "policy.py", "rows.py", "table.txt"]
    unpacked = tmp_path / "unpacked"
    zipfile.ZipFile(path).extractall(unpacked)
    with staged(folder) as run:
        assert policy_sha256(run) == policy_sha256(unpacked)


def test_a_link_to_an_outer_folder_is_not_packed(pack, tmp_path: Path) -> None:
    folder = write_policy(tmp_path / "policy", DECLINES, FILES)
    (folder / "part" / "up").symlink_to("..")
    code, lines, path = pack(folder)
    assert code == 1 and not path.exists()
    assert lines == [
        "not packed: submission: a link leads to a folder that holds it. Got: part/up -> ... Expected: links that a "
        "zip can hold as files. Next: remove the link."
    ]


@pytest.mark.parametrize(
    "files",
    [{"json.py": ""}, {"metadata.yaml": "command: x"}, {"numpy/__init__.py": ""}],
    ids=lambda files: next(iter(files)),
)
def test_what_the_platform_refuses_is_not_packed_and_in_its_words(pack, tmp_path: Path, files: dict[str, str]) -> None:
    folder = write_policy(tmp_path / "policy", DECLINES, files)
    with pytest.raises(SubmissionRefused) as refused:
        find_policy(folder)
    pack(write_policy(tmp_path / "good", DECLINES))
    code, lines, path = pack(folder)
    assert (code, lines) == (1, [f"not packed: {refused.value}"])
    assert not path.exists(), "an earlier zip must not be taken for this one"


def test_a_module_that_was_left_out_is_missed_before_the_upload(pack, tmp_path: Path) -> None:
    source = "import pathlib\npathlib.Path('table.zip').read_text()\n" + DECLINES
    code, lines, path = pack(write_policy(tmp_path / "policy", source, {"table.zip": "1"}))
    assert code == 1 and not path.exists()
    assert lines[-1].startswith(
        "not packed: Small ep 2, start: the policy raised an exception. Got: FileNotFoundError: "
    )


def test_another_suffix_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        kit.main(["pack", str(KIT), "--output", str(tmp_path / "policy.py")])
    assert ended.value.code == 2
    text = (
        f"--output is no zip. Got: {tmp_path / 'policy.py'}. Expected: a name ending in .zip. Next: correct --output."
    )
    assert capsys.readouterr().err.splitlines()[-1] == f"kit.py: error: {text}"


def test_a_folder_is_no_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "folder.zip"
    output.mkdir()
    with pytest.raises(SystemExit) as ended:
        kit.main(["pack", str(KIT), "--output", str(output)])
    assert ended.value.code == 2
    text = f"--output is a folder. Got: {output}. Expected: the name of a file. Next: correct --output."
    assert capsys.readouterr().err.splitlines()[-1] == f"kit.py: error: {text}"
    with pytest.raises(kit.UsageError):
        kit.pack(KIT, output)


def test_what_the_platform_lacks_is_said_instead_of_the_upload(pack, tmp_path: Path) -> None:
    source = "try:\n    import torch\nexcept ImportError:\n    torch = None\n" + DECLINES
    code, lines, path = pack(write_policy(tmp_path / "policy", source))
    assert code == 0 and path.exists() and "Next: upload" not in "\n".join(lines)
    next_step = "bring it as a module beside policy.py, or drop it"
    assert lines[-1] == f"accepted here, but the platform has no torch. Next: {next_step}"


def test_python_packs_the_same_zip(pack, tmp_path: Path) -> None:
    folder = write_policy(tmp_path / "policy", DECLINES, FILES)
    path = kit.pack(folder, tmp_path / "python.zip")
    assert path.read_bytes() == pack(folder)[2].read_bytes()
    with pytest.raises(SubmissionRefused):
        kit.pack(write_policy(tmp_path / "bad", DECLINES, {"json.py": ""}), tmp_path / "bad.zip")
    assert not (tmp_path / "bad.zip").exists()
