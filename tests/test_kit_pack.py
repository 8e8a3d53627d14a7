"""`kit.py pack`: what is in the zip, that it is the same again, and that what the platform refuses is not packed."""

from __future__ import annotations

import os
import shutil
import warnings
import zipfile
from pathlib import Path

import pytest
import yaml

import kit
from commands import blocks, policy_folder
from commands.policy_folder import KIT_FILES, packed_files, staged
from kit_world import write_kit_world
from placement.errors import SubmissionRefused
from placement.submission.folder import find_policy
from placement.submission.receipt import policy_sha256
from submissions import DECLINES, ROOT, grid_mapping, write_policy

KIT = ROOT / "starting_kit"
FILES = {"part/rows.py": "ROWS = 1\n", "table.txt": "1 2\n"}
# planning/ of a kit: each module in a way of its own needs the one before.
BLOCKS = {
    "planning/__init__.py": "",
    "planning/load.py": "from placement.deployment import initial_deployment\nLOAD = 1\n",
    "planning/relative.py": "from .load import LOAD\n",
    "planning/sibling.py": "from . import relative\nLOAD = relative.LOAD\n",
    "planning/whole.py": "import planning.sibling as sibling\nLOAD = sibling.LOAD\n",
    "planning/README.md": "import planning.load\n",
    "adapters/__init__.py": "",
    "adapters/engine.py": "from planning.load import LOAD\n",
}
ALONE = ["planning/__init__.py", "planning/load.py"]
PLANS = """
    import numpy as np
    from planning.packing import heaviest_first

    class Policy:
        def __init__(self, case):
            self.case = case

        def rebalance(self, hotness, deployment, iteration):
            load, empty = hotness.sum(axis=0), np.full(deployment[0].shape, -1)
            most = np.argsort(-load, axis=1, kind="stable")[:, : self.case.redundant_experts]
            experts = [np.append(np.arange(self.case.experts), layer) for layer in most]
            rows = [heaviest_first(e, w[e], empty, np.zeros(len(empty))) for e, w in zip(experts, load)]
            return list(range(len(rows))), np.array(rows)
"""
OWN = "planning is the policy's own folder, so the kit's planning is not packed"
JUNK = {".git/config": "", "__pycache__/policy.pyc": "", "part/.hidden": "", "old.zip": "", ".DS_Store": ""}


@pytest.fixture
def pack(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """`kit.py pack` on the tiny grid's first case: the exit code, the lines printed and the zip."""
    grid, content = tmp_path / "grid.yaml", grid_mapping()
    grid.write_text(yaml.safe_dump(content | {"cases": [{**content["cases"][0], "ep": [2]}]}))

    def run(policy: Path, name: str = "submission.zip") -> tuple[int, list[str], Path]:
        output = tmp_path / "packed" / name
        code = kit.main(["pack", str(policy), "--output", str(output), "--grid", str(grid)])
        return code, capsys.readouterr().out.splitlines(), output

    return run


@pytest.fixture
def small_kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kit with the modules of BLOCKS in planning/, and a template that imports one of them."""
    folder = write_policy(tmp_path / "kit", "from planning.load import LOAD\n" + DECLINES, BLOCKS)
    monkeypatch.setattr(blocks, "KIT", folder)
    monkeypatch.setattr(policy_folder, "KIT", folder)
    return folder


def importing(folder: Path, line: str, files: dict[str, str] | None = None) -> Path:
    """A policy with a line before its code."""
    return write_policy(folder, f"{line}\n{DECLINES}", files)


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
        "not packed: submission: a link leads to a folder that holds the link. Got: part/up -> ... Expected: links "
        "that a "
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


def test_of_a_zip_what_the_platform_takes_is_run_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.zip"
    with zipfile.ZipFile(path, "w") as target:
        # No block is added: the platform has none.
        target.writestr("mine/policy.py", "import planning.packing\n" + DECLINES)
        for name in ("mine/part/rows.py", "mine/part/.hidden", "mine/table.zip", "mine/.DS_Store", "__MACOSX/._mine"):
            target.writestr(name, "1")
    with staged(path) as run:
        there = sorted(p.relative_to(run).as_posix() for p in run.rglob("*") if p.is_file())
    assert there == ["mine/part/rows.py", "mine/policy.py"]
    assert capsys.readouterr().out == (
        "note: left out, as pack leaves out hidden files, bytecode and zips: part/.hidden, table.zip; the policy "
        "cannot read them\n"
    )
    assert not run.exists()


def test_a_zip_is_not_packed_again(pack, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        pack(pack(write_policy(tmp_path / "policy", DECLINES))[2], "again.zip")
    assert ended.value.code == 2
    with pytest.raises(kit.UsageError, match=r"the policy is a zip\..*Next: name the folder that the zip was made"):
        kit.pack(tmp_path / "packed" / "submission.zip", tmp_path / "again.zip")


def test_another_suffix_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        kit.main(["pack", str(KIT), "--output", str(tmp_path / "policy.py")])
    assert ended.value.code == 2
    text = (
        f"--output does not end in .zip. Got: {tmp_path / 'policy.py'}. Expected: a name ending in .zip. Next: correct "
        "--output."
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
    assert lines[-1] == "accepted here, but the platform has no torch. Next: use numpy instead of torch"


def test_python_packs_the_same_zip(pack, tmp_path: Path) -> None:
    folder = write_policy(tmp_path / "policy", DECLINES, FILES)
    path = kit.pack(folder, tmp_path / "python.zip")
    assert path.read_bytes() == pack(folder)[2].read_bytes()
    with pytest.raises(SubmissionRefused):
        kit.pack(write_policy(tmp_path / "bad", DECLINES, {"json.py": ""}), tmp_path / "bad.zip")
    assert not (tmp_path / "bad.zip").exists()


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        ("from planning.load import LOAD", ALONE),
        ("import planning.load as load", ALONE),
        ("from planning import load", ALONE),
        ("def late():\n    import planning.load", ALONE),
        ("from planning.relative import LOAD", [*ALONE, "planning/relative.py"]),
        ("from planning.sibling import LOAD", [*ALONE, "planning/relative.py", "planning/sibling.py"]),
        ("import planning.whole", sorted(name for name in BLOCKS if name.endswith(".py") and name[0] == "p")),
        ("from adapters.engine import LOAD", ["adapters/__init__.py", "adapters/engine.py", *ALONE]),
        ("import planning", ALONE[:1]),
        ("from .planning import load", []),
        ("import planner, numpy.planning", []),
        ("text = 'import planning.load'", []),
    ],
)
def test_blocks_are_taken_along_with_the_blocks_that_they_need(small_kit, tmp_path: Path, line: str, taken) -> None:
    files, left_out = packed_files(importing(tmp_path / "policy", line))
    assert (list(files), left_out) == ([*taken, "policy.py"], [])
    assert all(files[name] == small_kit / name for name in taken)


def test_what_imports_a_block_is_packed_with_it_and_listed(small_kit, pack, tmp_path: Path) -> None:
    folder = importing(
        tmp_path / "policy", "from part.plan import LOAD", {"part/plan.py": "import planning.load\nLOAD = 1\n"}
    )
    code, lines, path = pack(folder)
    assert code == 0 and names(path) == ["part/plan.py", *ALONE, "policy.py"]
    size = len(BLOCKS["planning/load.py"])
    assert f"  planning/load.py      {size:>9} bytes" in lines and OWN not in lines
    with zipfile.ZipFile(path) as archive:
        assert archive.read("planning/load.py").decode() == BLOCKS["planning/load.py"]
    assert kit.pack(folder, tmp_path / "python.zip").read_bytes() == path.read_bytes()


def test_what_is_run_is_what_is_packed_and_what_is_packed_is_complete(small_kit, pack, tmp_path: Path) -> None:
    folder = importing(tmp_path / "policy", "import planning.whole\nassert planning.whole.LOAD == 1")
    _, lines, path = pack(folder)
    unpacked = tmp_path / "unpacked"
    zipfile.ZipFile(path).extractall(unpacked)
    digits = policy_sha256(unpacked)
    assert lines[-2].endswith(f", policy {digits}")
    for policy in (folder, folder / "policy.py", unpacked):
        with staged(policy) as run:
            assert policy_sha256(run) == digits
    assert names(path) == names(pack(unpacked, "again.zip")[2]) and sorted(os.listdir(folder)) == ["policy.py"]


def test_a_planning_of_the_policy_s_own_is_packed_in_the_kit_s_place(small_kit, pack, tmp_path: Path) -> None:
    for number, own in enumerate(("planning.py", "planning/__init__.py", "planning/table.txt")):
        line = "try:\n    from planning import sibling\nexcept ImportError:\n    pass"
        code, lines, path = pack(importing(tmp_path / str(number), line, {own: ""}))
        assert code == 0 and names(path) == [own, "policy.py"] and lines.count(OWN) == 1


@pytest.mark.parametrize("own", ["planning.txt", "planning.data/a.py", "part/planning.py", "planning/old.zip"])
def test_what_python_does_not_take_for_planning_leaves_the_kit_s_there(small_kit, pack, tmp_path: Path, own) -> None:
    code, lines, path = pack(importing(tmp_path / "policy", "import planning.load", {own: ""}))
    assert code == 0 and set(ALONE) < set(names(path)) and OWN not in lines


def test_the_template_is_packed_with_the_blocks_that_it_imports_alone(small_kit, pack) -> None:
    code, lines, path = pack(small_kit)
    assert code == 0 and names(path) == [*ALONE, "policy.py"] and OWN not in lines
    with staged(small_kit) as run:
        assert sorted(name.name for name in (run / "planning").iterdir()) == ["__init__.py", "load.py"]


def test_a_block_that_the_kit_lacks_is_missed_before_the_upload(small_kit, pack, tmp_path: Path) -> None:
    code, lines, path = pack(importing(tmp_path / "policy", "import planning.nothing"))
    assert code == 1 and not path.exists()
    assert "Got: ModuleNotFoundError: No module named 'planning.nothing'" in lines[-1]


def test_a_file_that_python_cannot_read_is_left_to_the_policy_s_process(small_kit, pack, tmp_path: Path) -> None:
    code, lines, _ = pack(importing(tmp_path / "policy", "import planning.load\n1 +"))
    assert code == 1 and "the policy cannot be loaded. Got: SyntaxError: " in lines[-1]
    # Not imported, so it does no harm.
    code, _, path = pack(write_policy(tmp_path / "other", DECLINES, {"notes.py": "import planning.load\n1 +\n"}))
    assert code == 0 and names(path) == ["notes.py", "policy.py"]


def test_a_warning_about_the_source_hides_no_import(small_kit, tmp_path: Path) -> None:
    folder = importing(tmp_path / "policy", "import planning.load\ntext = '\\d'")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(packed_files(folder)[0]) == [*ALONE, "policy.py"]


def test_the_kit_s_own_blocks_are_taken_along(pack, tmp_path: Path) -> None:
    code, _, path = pack(importing(tmp_path / "policy", "from planning.packing import heaviest_first"))
    assert code == 0 and names(path) == ["planning/__init__.py", "planning/packing.py", "policy.py"]
    with zipfile.ZipFile(path) as archive:
        assert archive.read("planning/packing.py") == (KIT / "planning" / "packing.py").read_bytes()


def test_the_policy_and_its_zip_score_the_same_and_see_the_same(pack, tmp_path: Path) -> None:
    folder = write_policy(tmp_path / "policy", PLANS)
    unpacked = tmp_path / "unpacked"
    zipfile.ZipFile(pack(folder)[2]).extractall(unpacked)
    world = write_kit_world(tmp_path / "world")
    paths = {"grid": world / "grid.yaml", "traces": world / "traces"}
    packed = tmp_path / "packed" / "submission.zip"
    table = kit.compare(folder, unpacked, packed, reference=world / "reference", seeds=0, **paths)
    assert table["A"].tolist() == table["B"].tolist() == table["C"].tolist()
    seen = [kit.replay(policy, "Small/one:4", 2, **paths) for policy in (folder, unpacked)]
    assert (seen[0].deployment == seen[1].deployment).all()
    assert (seen[0].deployment != seen[0].case.initial_deployment).any()
