"""The scoring program as it is called: what it prints, returns and writes."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

import scoring
from score_files import (
    NAMES,
    ROOT,
    failed_results,
    failure,
    left_in,
    reference,
    results,
    results_of,
    score,
    stopped,
    write,
    write_results,
)
from scores.modeled_runtime import COLUMNS

PROGRAM = ROOT / "scoring_program"


# Submissions with a score


def test_a_scored_run_ends_with_the_score(tmp_path, capsys):
    run = score(tmp_path, capsys, results(mean_par=1.125))
    seconds = [60 * par + moved * 88_080_384 / 9e11 for par, moved in ((1.5, 60_000), (1.125, 60_000))]
    composite = round((200 + 100 * seconds[0] / seconds[1]) / 3, 10)
    assert run.code == 0
    assert run.scores == {
        "composite_score": composite,
        "mean_par": 1.375,
        "transmit_amount": 190_000,
        "par_vs_ds_eplb": round((1 + 0.75 + 1) / 3, 10),
        "transmit_vs_ds_eplb": 1.0,
    }
    assert list(run.scores) == list(COLUMNS)
    headings = ["case", "status", "mean_par", "transmit", "modeled s", "DS-EPLB s", "case score", "policy s"]
    assert re.split("  +", run.lines[0]) == headings
    assert re.split("  +", run.lines[2]) == [NAMES[1], "ok", "1.1250", "60000", "73.372", "95.872", "130.6656", "1.250"]
    assert run.lines[4:] == [
        "transmit_vs_ds_eplb: 1.0000",
        "par_vs_ds_eplb: 0.9167",
        "transmit_amount: 190000",
        "mean_par: 1.3750",
        f"composite_score: {composite:.4f}",
    ]


def test_ds_eplb_scores_100_against_the_reference_that_ships(tmp_path, capsys):
    shipped = json.loads((ROOT / "reference_data" / "ds_eplb.json").read_text(encoding="utf-8"))
    run = score(tmp_path, capsys, results_of(shipped), shipped)
    assert run.lines[-1] == "composite_score: 100.0000"
    assert (run.scores["composite_score"], run.scores["par_vs_ds_eplb"]) == (100.0, 1.0)


def test_the_reference_decides_the_order_of_cases(tmp_path, capsys):
    ordered, turned = results(mean_par=1.1, transmit_amount=7), results(mean_par=1.1, transmit_amount=7)
    turned["cases"].reverse()
    first = score(tmp_path, capsys, ordered)
    assert score(tmp_path, capsys, turned) == first
    assert [line[: len(NAMES[0])] for line in first.lines[1:4]] == list(NAMES)
    other_way = score(tmp_path, capsys, ordered, reference() | {"cases": reference()["cases"][::-1]})
    assert other_way.scores == first.scores
    assert [line[: len(NAMES[0])] for line in other_way.lines[1:4]] == list(NAMES[::-1])


# Submissions without one


def test_failed_cases_are_named_with_what_failed(tmp_path, capsys):
    run = score(tmp_path, capsys, failed_results())
    assert (run.code, run.scores) == (1, None)
    assert [line.split()[3] for line in run.lines[1:4]] == ["ok", "timeout", "crashed"]
    assert run.lines[4:] == [
        f"timeout: {NAMES[1]}, call 2: too slow.",
        f"crashed: {NAMES[2]}: no policy.",
        "No score: failed: 2 of 3 cases failed",
        "Next: correct the policy as the messages above say; `kit.py check FOLDER` finds most mistakes in two seconds.",
    ]
    folders = [f"--{option}={tmp_path / name}" for option, name in (("results", "res"), ("reference", "ref"))]
    for name, written in (("my policy", "'my policy'"), ("-odd", "-- -odd")):
        assert scoring.main([*folders, f"--output={tmp_path / 'output'}", f"--policy={name}"]) == 1
        assert f"`kit.py check {written}` finds" in capsys.readouterr().out


def test_scored_with_a_failing_case_fails(tmp_path, capsys):
    told = failure("it broke", "call 2", "a", "b", "mend it")
    run = score(tmp_path, capsys, results(status="invalid_answer", failure=told))
    assert (run.code, run.scores) == (1, None)
    assert run.lines[4:6] == [
        f"invalid_answer: {NAMES[1]}, call 2: it broke. Got: a. Expected: b. Next: mend it.",
        "No score: failed: 1 of 3 cases failed",
    ]


def test_cases_that_ended_with_the_first_failed_one_are_counted(tmp_path, capsys):
    content = failed_results()
    del content["cases"][0], content["cases"][1]
    assert (
        score(tmp_path, capsys, content).lines[-2]
        == "No score: failed: 1 of 3 cases failed; 2 others were stopped at the first failure"
    )


@pytest.mark.parametrize(
    ("status", "code", "next_step"),
    [
        ("refused", 1, "Next: correct the submission as the message says, then run or upload the submission again."),
        ("data_unavailable", 2, "Next: nothing for participants to do; organizers restore the competition's data."),
    ],
)
@pytest.mark.parametrize("cases", [[], None, results()["cases"]])
def test_refused_and_data_unavailable(tmp_path, capsys, status, code, next_step, cases):
    run = score(tmp_path, capsys, stopped(status, "no policy.py") | {"cases": cases})
    assert (run.code, run.scores) == (code, None)
    assert run.lines == [f"No score: {status}: no policy.py.", next_step]


# As the platform runs it


@pytest.fixture
def program(tmp_path):
    """The scoring program alone, in a folder of its own."""
    return shutil.copytree(PROGRAM, tmp_path / "program", ignore=shutil.ignore_patterns("__pycache__"))


def run_alone(program, folder, **environment):
    """Run a copy of the program in a process that can import nothing else of the project."""
    options = [f"--{name}={folder / place}" for name, place in (("results", "res"), ("reference", "ref"))]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [sys.executable, str(program / "scoring.py"), *options, f"--output={folder / 'output'}"],
        **{"cwd": folder, "env": clean | environment, "capture_output": True, "timeout": 600, "check": False},
    )


def test_the_folder_alone_scores(tmp_path, capsys, program):
    inside = score(tmp_path, capsys, results(mean_par=1.125))
    (tmp_path / "output" / "scores.json").unlink()
    done = run_alone(program, tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().splitlines() == inside.lines
    assert left_in(tmp_path / "output") == (inside.page, inside.scores)


def test_no_failure_breaks_an_ascii_log(tmp_path, program):
    told = failure("café <\ud800> \U0001f600")
    write(tmp_path / "ref" / "ds_eplb.json", reference())
    write_results(tmp_path / "res", results(status="crashed", failure=told))
    done = run_alone(program, tmp_path, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (1, b"")
    assert f"crashed: {NAMES[1]}: caf\\xe9 <\\ud800> \\U0001f600." in done.stdout.decode("ascii").splitlines()
    assert "café &lt;\\ud800&gt; \U0001f600" in left_in(tmp_path / "output")[0]


def test_a_missing_reference_is_exit_code_2_of_the_process(tmp_path, program):
    done = run_alone(program, tmp_path)
    assert (done.returncode, done.stderr) == (2, b"")
    assert done.stdout.decode().startswith("ds_eplb.json: cannot be read. Got: no such file.")


def test_it_imports_only_itself_the_standard_library_and_three_packages():
    imported = set()
    for path in PROGRAM.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported |= {node.module.split(".")[0]} if node.level == 0 else set()
    assert imported <= {"scores", "numpy", "pandas", "yaml"} | sys.stdlib_module_names


def test_metadata_runs_the_entry_point():
    assert (PROGRAM / "metadata.yaml").read_text(encoding="utf-8") == "command: python3 /app/program/scoring.py\n"
