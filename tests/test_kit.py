"""The participant's command line, on a tiny grid with a reference of its own."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import kit
from commands.bar import bar_text
from commands.places import kit_command
from kit_world import refused, write_kit_world
from submissions import DECLINES, ROOT, run_program, write_policy

KIT = ROOT / "starting_kit"
Score = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of two cases with its traces and reference."""
    return write_kit_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def score(world: Path, capfd: pytest.CaptureFixture[str]) -> Score:
    """`kit.py run` on the grid."""

    def run(policy: Path, output: Path, *options: str) -> CompletedProcess[str]:
        paths = {"grid": world / "grid.yaml", "traces": world / "traces", "reference": world / "reference"}
        paths["output"] = output
        arguments = ["run", str(policy), *(str(text) for name, path in paths.items() for text in (f"--{name}", path))]
        try:
            code = kit.main([*arguments, *options])
        except SystemExit as ended:
            code = ended.code
        return CompletedProcess(arguments, code, *capfd.readouterr())

    return run


def test_the_baseline_scores_100_and_that_is_the_last_line(score: Score, tmp_path: Path) -> None:
    run = score(KIT / "policies" / "ds_eplb", tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines()[-1] == "composite_score: 100.0000"
    (page,) = re.findall(r"^page: (.*)$", run.stdout, re.MULTILINE)
    assert Path(page) == tmp_path / "scoring" / "detailed_results.html" and Path(page).is_file()


def test_a_run_is_signed_and_results_changed_by_hand_are_not_scored(world: Path, score: Score, tmp_path: Path) -> None:
    assert score(write_policy(tmp_path, DECLINES), tmp_path / "output").returncode == 0
    path = tmp_path / "output" / "prediction" / "results.json"
    scoring = ROOT / "scoring_program" / "scoring.py"
    folders = ("--results", path.parent, "--reference", world / "reference", "--output", tmp_path / "again")
    assert run_program(scoring, *folders).returncode == 0
    path.write_bytes(path.read_bytes().replace(b'"transmit_amount": 0', b'"transmit_amount": 1'))
    changed = run_program(scoring, *folders)
    assert (changed.returncode, changed.stderr) == (1, "")
    assert changed.stdout.startswith("results.sig: does not sign results.json. Got: ")
    assert not (tmp_path / "again" / "scores.json").exists()


def test_a_failing_policy_ends_with_its_reason_and_the_next_step(score: Score, tmp_path: Path) -> None:
    run = score(write_policy(tmp_path, "1 / 0\n"), tmp_path / "output")
    assert run.returncode == 1
    # Once by each of the two programs, however many cases failed in the same way.
    first = "\ncrashed: Small/one ep 4, start: the policy raised an exception. Got: ZeroDivisionError: "
    assert run.stdout.count(first) == run.stdout.count("the policy raised an exception") == 2
    assert run.stdout.count("\ncrashed: the same in Large/two ep 8\n") == 2
    step, again = run.stdout.splitlines()[-2:]
    command = kit_command(*run.args, "--case", "Small/one:4")
    assert step.startswith("Next: correct the policy as the messages above say; ")
    assert again == f"Every case failed; to repeat one case: {command}"


FAILS_ON_8 = """
    def rebalance(hotness, n_device, n_red_expert):
        assert n_device < 8
        return False, None, None, None
"""


def test_the_command_that_a_failed_run_names_repeats_the_failed_case_alone(score: Score, tmp_path: Path) -> None:
    policy = write_policy(tmp_path / "my policy", FAILS_ON_8)
    run = score(policy, tmp_path / "output")
    (command,) = re.findall(r"^To repeat only the failed cases: (.*)$", run.stdout, re.MULTILINE)
    assert run.stdout.endswith(f"{command}\n") and run.returncode == 1
    options = ["--case", "Large/two:8"]
    assert shlex.split(command)[1:] == ["starting_kit/kit.py", *run.args, *options]
    write_policy(policy, DECLINES)
    again = score(policy, tmp_path / "output", *options)
    assert again.stdout.splitlines()[-1].startswith("mean case score over 1 of 2 cases: ")


def test_a_policy_is_found_by_its_file(score: Score, tmp_path: Path) -> None:
    file = write_policy(tmp_path, DECLINES) / "policy.py"
    run = score(file, tmp_path / "output", "--jobs", "1")
    assert run.returncode == 0
    assert re.fullmatch(r"composite_score: \d+\.\d{4}", run.stdout.splitlines()[-1])


def test_no_jobs_at_all_are_refused(score: Score, tmp_path: Path) -> None:
    run = score(KIT, tmp_path / "output", "--jobs", "0")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.endswith(
        "kit.py: error: --jobs is too small. Got: 0. Expected: at least 1. Next: correct --jobs.\n"
    )


def test_the_template_is_short() -> None:
    assert len((KIT / "policy.py").read_text().splitlines()) < 40


@pytest.mark.parametrize("command", ["check", "run", "pack", "replay", "profile"])
@pytest.mark.parametrize("name", ["nowhere", "my_policy.py"])
def test_what_is_no_folder_of_a_policy_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, name: str
) -> None:
    (tmp_path / "my_policy.py").write_text(DECLINES)
    got = f"{'no folder ' if name == 'nowhere' else ''}{tmp_path / name}"
    expected = "a folder with policy.py, the file, or the zip. Next: correct the path."
    text = f"kit.py: error: no policy was found. Got: {got}. Expected: {expected}"
    assert refused(capsys, command, tmp_path / name) == text


def test_without_a_command_the_usage_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        kit.main([])
    text = capsys.readouterr().err
    assert ended.value.code == 2 and text.startswith("usage: kit.py ") and "arguments are required: COMMAND" in text


@pytest.mark.parametrize(
    "words", [("compare", KIT, KIT, "--seed"), ("run", KIT, "--job"), ("generate", "--output", "x", "--s")]
)
def test_an_option_s_name_is_not_cut(capsys: pytest.CaptureFixture[str], words: tuple) -> None:
    assert refused(capsys, *words, "3") == f"kit.py: error: unrecognized arguments: {words[-1]} 3"


@pytest.mark.parametrize("command", ["check", "run", "compare", "pack", "replay", "profile", "reference"])
def test_a_grid_that_is_not_there_is_refused(tmp_path: Path, capsys, monkeypatch, command: str) -> None:
    monkeypatch.chdir(tmp_path)
    policies = {"compare": [KIT, KIT], "reference": []}.get(command, [KIT])
    assert refused(capsys, command, *policies, "--grid", "practise") == (
        "kit.py: error: the grid file is missing. Got: practise. "
        "Expected: sample, practice, official, or a grid file. Next: correct --grid."
    )
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named() -> None:
    # -S: without what is installed.
    command = [sys.executable, "-S", str(KIT / "kit.py"), "run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    way = "run `make run` once, then use .venv/bin/python; or python3 -m pip install -r requirements.txt"
    assert done.returncode == 1
    assert done.stderr == f"kit.py: not installed: numpy, PyYAML, pandas. Next: {way}\n"


@pytest.mark.parametrize("command", ["", "check", "run", "compare", "pack", "replay", "profile"])
def test_help_is_shown_with_examples(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as ended:
        kit.main([command, "--help"] if command else ["--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0 and text.startswith("usage: kit.py ")
    assert f"  python starting_kit/kit.py {command or 'check'}" in text.partition("examples")[2]


# Some cases


def test_some_cases_have_a_score_of_their_own_name(score: Score, tmp_path: Path) -> None:
    policy, output = KIT / "policies" / "ds_eplb", tmp_path / "output"
    assert score(policy, output).returncode == 0
    page = output / "scoring" / "detailed_results.html"
    written = page.read_bytes()
    run = score(policy, output, "--case", "Large/two ep 8")
    assert (run.returncode, run.stderr) == (0, "")
    assert "[1/1] Large/two ep 8: ok" in run.stdout and "composite_score" not in run.stdout
    assert run.stdout.splitlines()[-1] == "mean case score over 1 of 2 cases: 100.0000"
    assert f"\npage: none for some cases; {page} is still the page of the last whole grid\n" in run.stdout
    assert page.read_bytes() == written
    assert re.fullmatch("Large/two ep 8: (Largest saving|No change stands out): .*", run.stdout.splitlines()[-2])


def test_all_cases_by_name_are_the_whole_grid(score: Score, tmp_path: Path) -> None:
    options = ("--case", "Large/two:8", "--case", "Small/one", "--case", "Small/one:4")
    run = score(KIT / "policies" / "ds_eplb", tmp_path, *options)
    assert run.stdout.splitlines()[-1] == "composite_score: 100.0000"


def test_a_failing_policy_has_no_score_of_some_cases(score: Score, tmp_path: Path) -> None:
    run = score(write_policy(tmp_path, "1 / 0\n"), tmp_path / "output", "--case", "Small/one:4")
    assert (run.returncode, run.stderr) == (1, "")
    assert "\ncrashed: Small/one ep 4, start: the policy raised an exception. Got: ZeroDivisionError: " in run.stdout
    assert (
        run.stdout.splitlines()[-1]
        == "No score. Next: correct the policy as the messages above say and repeat the same command."
    )


def test_data_that_cannot_be_read_is_not_the_policy_s_fault_in_some_cases_either(score: Score, tmp_path: Path) -> None:
    (tmp_path / "Small").mkdir()
    (tmp_path / "Small" / "one.npy").write_bytes(b"no array")
    options = ("--case", "Small/one:4", "--traces", str(tmp_path))
    run = score(KIT / "policies" / "static", tmp_path / "output", *options)
    assert (run.returncode, run.stderr) == (2, "")
    last = run.stdout.splitlines()[-1]
    assert last.startswith("No score: data_unavailable: ") and " Expected: " in last and " Next: " in last
    assert "correct the policy" not in run.stdout


@pytest.mark.parametrize("name", ["Small/one:2", "Small", "Small/one ep", "Small/one:4:4", ""])
def test_a_case_that_the_grid_has_not_is_named(world: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    got, expected = name or "no name", "one of Small/one:4, Large/two:8. Next: correct --case"
    if name == "Small/one:2":
        expected += "; for other sizes, name your own grid file with --grid: its cases state ep and"
        expected += " redundant_experts (starting_kit/README.md, --grid); kit.py sweep writes such grid files into"
        expected += " output/sweep/grids"
    options = ("--grid", world / "grid.yaml", "--traces", world / "traces", "--output", world / "output")
    text = f"kit.py: error: the grid tiny has no such case. Got: {got}. Expected: {expected}."
    assert refused(capsys, "run", KIT, *options, "--case", name) == text


# What is run is what would be uploaded


LISTS_ITS_FOLDER = """
    import os
    print(sorted(os.listdir()))
    def rebalance(hotness, n_device, n_red_expert):
        return False, None, None, None
"""


def test_a_policy_is_run_without_what_pack_leaves_out(score: Score, tmp_path: Path) -> None:
    folder = write_policy(tmp_path / "policy", LISTS_ITS_FOLDER, {"old.zip": "", "table.txt": "1"})
    run = score(folder, tmp_path / "output")
    assert run.stdout.count("  | ['policy.py', 'table.txt']\n") == 2


def test_files_are_called_as_in_the_submission_wherever_its_copy_lies(score: Score, tmp_path: Path) -> None:
    source = "import pathlib, warnings\nwarnings.warn('odd')\npathlib.Path(__file__).with_name('table').open()\n"
    log = score(write_policy(tmp_path / "policy", source), tmp_path / "output").stdout
    assert "  | policy.py:2: UserWarning: odd\n" in log
    assert (
        "Got: FileNotFoundError: [Errno 2] No such file or directory: 'table' (policy.py, line 3, in <module>)" in log
    )
    assert '  |   File "policy.py", line 3, in <module>\n' in log and "submission-" not in log


def test_the_template_is_run_without_the_kit(score: Score, tmp_path: Path) -> None:
    copied = [line for line in score(KIT, tmp_path / "one").stdout.splitlines() if line.startswith("receipt: ")]
    alone = write_policy(tmp_path / "policy", (KIT / "policy.py").read_text(encoding="utf-8"))
    assert copied[0] in score(alone, tmp_path / "two").stdout.splitlines()


# The bar


@pytest.mark.parametrize(
    ("done", "cases", "text"),
    [
        (0, 0, "[------------------------] running, 3 s"),
        (2, 7, "[######------------------] 2 of 7 cases, 3 s"),
        (7, 7, "[########################] 7 of 7 cases, 3 s"),
    ],
)
def test_the_bar_says_how_far_a_run_is(done: int, cases: int, text: str) -> None:
    assert bar_text(done, cases, 3.2) == text


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
def test_a_terminal_shows_the_bar_below_the_lines_of_a_log(world: Path, tmp_path: Path) -> None:
    terminal, child = os.openpty()
    paths = ("--grid", world / "grid.yaml", "--traces", world / "traces", "--reference", world / "reference")
    arguments = [*map(str, paths), "--output", str(tmp_path)]
    command = [sys.executable, str(KIT / "kit.py"), "run", str(KIT / "policies" / "ds_eplb"), *arguments]
    with subprocess.Popen(command, stdout=child, stderr=child) as process:
        os.close(child)
        shown = b""
        # A terminal whose other side is closed reports an error on Linux, and its end elsewhere.
        with suppress(OSError):
            while chunk := os.read(terminal, 2**16):
                shown += chunk
    os.close(terminal)
    text = shown.decode()
    assert process.returncode == 0
    assert re.search(r"\r\x1b\[K\[#{12}-{12}\] 1 of 2 cases, \d+ s", text)
    # What stays on the screen: of every line what follows the last return to its begin.
    lines = [line.rstrip("\r").rpartition("\r\x1b[K")[2] for line in text.split("\n") if line]
    assert lines[0].startswith("versions: ") and lines[-1] == "composite_score: 100.0000"
    assert not [line for line in lines if "of 2 cases" in line]
