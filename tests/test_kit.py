"""The participant's command line, on a tiny grid with a reference of its own, and once on the grid that ships."""

from __future__ import annotations

import re
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml

import kit
import reference
from submissions import DECLINES, ROOT, grid_mapping, run_program, write_policy, write_world

KIT = ROOT / "starting_kit"
GALLERY = sorted(path.parent for path in (KIT / "policies").glob("*/policy.py"))
CASES = [{"model": "Small", "dataset": "one", "ep": [4]}, {"model": "Large", "dataset": "two", "ep": [8]}]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of two cases with its traces and reference."""
    folder = write_world(tmp_path_factory.mktemp("world"))
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid_mapping() | {"cases": CASES}))
    paths = ("--grid", folder / "grid.yaml", "--traces", folder / "traces", "--output", folder / "reference")
    assert reference.main([str(argument) for argument in paths]) == 0
    return folder


@pytest.fixture
def check(world: Path, capsys: pytest.CaptureFixture[str]):
    """`kit.py check` on the grid: the exit code and the lines printed."""

    def run(policy: Path) -> tuple[int, list[str]]:
        code = kit.main(["check", str(policy), "--grid", str(world / "grid.yaml")])
        return code, capsys.readouterr().out.splitlines()

    return run


def score(world: Path, policy: Path, output: Path, *options: str) -> CompletedProcess[str]:
    """`kit.py run` on the grid."""
    paths = {"grid": world / "grid.yaml", "traces": world / "traces", "reference": world / "reference"}
    paths["output"] = output
    arguments = [text for name, path in paths.items() for text in (f"--{name}", path)]
    return run_program(KIT / "kit.py", "run", policy, *arguments, *options)


def test_the_baseline_scores_100_and_that_is_the_last_line(world: Path, tmp_path: Path) -> None:
    run = score(world, KIT / "policies" / "ds_eplb", tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines()[-1] == "composite_score: 100.0000"
    (page,) = re.findall(r"^page: (.*)$", run.stdout, re.MULTILINE)
    assert Path(page) == tmp_path / "scoring" / "detailed_results.html" and Path(page).is_file()


def test_a_run_is_signed_and_results_changed_by_hand_are_not_scored(world: Path, tmp_path: Path) -> None:
    assert score(world, write_policy(tmp_path, DECLINES), tmp_path / "output").returncode == 0
    path = tmp_path / "output" / "prediction" / "results.json"
    scoring = ROOT / "scoring_program" / "scoring.py"
    folders = ("--results", path.parent, "--reference", world / "reference", "--output", tmp_path / "again")
    assert run_program(scoring, *folders).returncode == 0
    path.write_bytes(path.read_bytes().replace(b'"transmit_amount": 0', b'"transmit_amount": 1'))
    changed = run_program(scoring, *folders)
    assert (changed.returncode, changed.stderr) == (1, "")
    assert changed.stdout.startswith("results.sig: does not sign results.json. Got: ")
    assert not (tmp_path / "again" / "scores.json").exists()


def test_a_failing_policy_ends_with_its_reason_and_the_next_step(world: Path, tmp_path: Path) -> None:
    run = score(world, write_policy(tmp_path, "1 / 0\n"), tmp_path / "output")
    assert run.returncode == 1
    assert "\ncrashed: Large/two ep 8, start: the policy raised an exception. Got: ZeroDivisionError: " in run.stdout
    assert run.stdout.splitlines()[-1].startswith("Next: ")


def test_a_policy_is_found_by_its_file_and_an_earlier_run_is_not_scored(world: Path, tmp_path: Path) -> None:
    file = write_policy(tmp_path, DECLINES) / "policy.py"
    run = score(world, file, tmp_path / "output", "--jobs", "1")
    assert run.returncode == 0
    assert re.fullmatch(r"composite_score: \d+\.\d{4}", run.stdout.splitlines()[-1])
    run = score(world, file, tmp_path / "output", "--jobs", "0")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.endswith("kit.py: error: --jobs must be at least 1, got 0\n")
    run = score(world, file, tmp_path / "output", "--grid", str(tmp_path))
    assert run.returncode == 2
    assert not (tmp_path / "output" / "scoring" / "scores.json").exists()


def test_the_template_beats_static_on_the_grid_that_ships(tmp_path: Path) -> None:
    scores = []
    for policy in (KIT, KIT / "policies" / "static"):
        run = run_program(KIT / "kit.py", "run", policy, "--output", tmp_path)
        name, value = run.stdout.splitlines()[-1].split(": ")
        assert (run.returncode, name) == (0, "composite_score")
        scores.append(float(value))
    assert scores[0] > scores[1] > 0


def test_the_template_is_short() -> None:
    assert len((KIT / "policy.py").read_text().splitlines()) < 40


@pytest.mark.parametrize("folder", [KIT, *GALLERY], ids=lambda folder: folder.name)
def test_what_ships_is_accepted_and_check_names_the_next_step(check, folder: Path) -> None:
    code, (first, second, last) = check(folder)
    form = "class" if "class Policy" in (folder / "policy.py").read_text() else "function"
    line = rf"{{}}: {form} form, 2 calls, start \d+\.\d\d of 30 s, slowest call \d+\.\d\d of 10 s"
    assert re.fullmatch(line.format("Small ep 4"), first) and re.fullmatch(line.format("Large ep 8"), second)
    assert last.startswith("accepted. Next: python starting_kit/kit.py run ") and last.endswith(folder.name)
    assert code == 0


MEND = "Expected: an answer. Next: mend the line named above and try again with kit.py check."


@pytest.mark.parametrize(
    ("source", "first", "last"),
    [
        (
            "print('hello')\n" + DECLINES.replace("False", "hotness[0, 0, 9]"),
            "Small ep 4: crashed",
            "Small ep 4, call 1 (iteration 4): the policy raised an exception. Got: IndexError: index 9 is out of "
            f"bounds for axis 2 with size 4 (policy.py, line 3, in rebalance). {MEND}",
        ),
        (
            DECLINES.replace("False, None", "hotness.shape[2] == 8, [7]"),
            "Small ep 4: function form, 2 calls, ",
            "Large ep 8, call 1 (iteration 4): deployment_table is not made of integers. Got: NoneType. ",
        ),
        (
            "1 +\n",
            "Small ep 4: crashed",
            f"Small ep 4, start: the policy cannot be loaded. Got: SyntaxError: invalid syntax (policy.py, line 1). "
            f"{MEND}",
        ),
    ],
)
def test_check_says_why_a_policy_is_not_accepted(check, tmp_path: Path, source: str, first: str, last: str) -> None:
    code, lines = check(write_policy(tmp_path, source))
    assert code == 1
    assert lines[0].startswith(first) and lines[-1].startswith(f"not accepted: {last}")


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize("name", ["nowhere", "submission.zip", "my_policy.py"])
def test_what_is_no_folder_of_a_policy_is_named(tmp_path: Path, command: str, name: str) -> None:
    (tmp_path / "submission.zip").write_bytes(b"PK")
    (tmp_path / "my_policy.py").write_text(DECLINES)
    run = run_program(KIT / "kit.py", command, tmp_path / name)
    text = f"{tmp_path / name} is no folder and no policy.py. Next: name the folder that holds policy.py"
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.splitlines()[-1] == f"kit.py: error: {text}"


def test_check_tries_the_smallest_and_the_largest_ep_of_each_model(world: Path, tmp_path: Path, capsys) -> None:
    cases = [{"model": "Large", "dataset": "two", "ep": [4, 2, 8]}, {"model": "Small", "dataset": "one", "ep": [2]}]
    grid = tmp_path / "grid.yaml"
    grid.write_text(yaml.safe_dump(grid_mapping() | {"cases": cases}))
    assert kit.main(["check", str(KIT), "--grid", str(grid)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:-1]] == ["Large ep 2", "Large ep 8", "Small ep 2"]


def test_a_grid_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert kit.main(["check", str(KIT), "--grid", str(tmp_path / "no.yaml")]) == 1
    assert capsys.readouterr().out.startswith("not accepted: grid: the grid cannot be read. Got: FileNotFoundError: ")


def test_without_a_command_the_usage_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        kit.main([])
    text = capsys.readouterr().err
    assert ended.value.code == 2 and text.startswith("usage: kit.py ") and "{run,check}" in text


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["check", "--help"]], ids=" ".join)
def test_help_is_shown(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        kit.main(arguments)
    assert ended.value.code == 0 and capsys.readouterr().out.startswith("usage: kit.py ")
