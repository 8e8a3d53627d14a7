"""Policies that raise, cannot be loaded or end: where, what was got, and the next step."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from placement.errors import PolicyError
from placement.isolation.exception_text import describe
from placement.isolation.interface import PolicyCase, load_policy
from submissions import run_policy, sentence_of, write_policy

CASE = "Small/one ep 2"
START, CALL = f"{CASE}, start", f"{CASE}, call 1 (iteration 4)"
ANSWER = "Expected: an answer."
MEND = f"{ANSWER} Next: correct the line named above and try again."
READ = MEND.replace("an answer", "what Python {}.{} can read".format(*sys.version_info))
ENDED = f"{ANSWER} Next: remove calls that end the process; a signal comes from native code or from too little memory."
FUNCTION = "rebalance(hotness, n_device, n_red_expert)"
CLASS = "class Policy with __init__(self, case) and rebalance(self, hotness, deployment, iteration)"
FORMS = f"{FUNCTION}, or {CLASS}"
NO_FORM = "policy.py defines no policy"
OTHER_ARGUMENTS = "the policy takes other arguments"
CORRECT = "correct the definition in policy.py"
linux = pytest.mark.skipif(sys.platform != "linux", reason="the signal's number is Linux's")


def in_call(*lines: str) -> str:
    """The source of a policy that runs lines at every call."""
    return "\n    ".join([f"import os, sys, signal\nimport numpy as np\ndef {FUNCTION}:", *lines]) + "\n"


def run(folder: Path, source: str, **limits: float) -> tuple[str, str]:
    """Status and message of a policy's case."""
    row = run_policy(write_policy(folder, source), **limits).row
    return row["status"], sentence_of(row)


@pytest.mark.parametrize(
    ("source", "where", "got"),
    [
        (in_call("raise ValueError('no idea')"), CALL, "ValueError: no idea (policy.py, line 4, in rebalance)"),
        (in_call("import helper", "helper.fail()"), CALL, "KeyError: 'lost' (sub/deep.py, line 2, in deep)"),
        (
            in_call("raise ValueError('two\\nlines \\x1b[2J')"),
            CALL,
            "ValueError: two lines \ufffd[2J (policy.py, line 4, in rebalance)",
        ),
        (
            in_call("sys.stderr.close()", "raise ValueError('unseen')"),
            CALL,
            "ValueError: unseen (policy.py, line 5, in rebalance)",
        ),
        (in_call("raise KeyboardInterrupt"), CALL, "KeyboardInterrupt (policy.py, line 4, in rebalance)"),
        ("\n1 / 0\n", START, "ZeroDivisionError: division by zero (policy.py, line 2, in <module>)"),
    ],
)
def test_an_exception_is_reported_with_its_place(tmp_path: Path, source: str, where: str, got: str) -> None:
    files = {"helper.py": "from sub.deep import deep as fail\n", "sub/deep.py": "def deep():\n    {}['lost']\n"}
    write_policy(tmp_path, source, files)
    text = f"{where}: the policy raised an exception. Got: {got}. {MEND}"
    assert run(tmp_path, source) == ("crashed", text)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("raise ValueError", "ValueError"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("np.zeros(3).reshape(2)", "ValueError: cannot reshape array of size 3 into shape (2,)"),
        ("raise ValueError('x' * 10**6)", f"ValueError: {'x' * 1000}..."),
        ("raise type('Silent', (Exception,), {'__str__': None})", "Silent: (its text raised TypeError)"),
    ],
)
def test_the_words_of_an_exception_are_kept_short_and_always_found(tmp_path: Path, line: str, words: str) -> None:
    code = compile(f"def inner():\n    {line}\ninner()\n", tmp_path / "sub" / "policy.py", "exec")
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        exec(code, {"np": np})
    assert describe(caught.value, tmp_path) == f"{words} (sub/policy.py, line 2, in inner)"


@pytest.mark.parametrize(
    ("source", "got"),
    [
        ("a = 1\nb = = 2\n", "SyntaxError: invalid syntax (policy.py, line 2)"),
        ("import helper\n", "SyntaxError: invalid syntax (helper.py, line 3)"),
    ],
)
def test_a_syntax_error_is_reported_with_its_line(tmp_path: Path, source: str, got: str) -> None:
    write_policy(tmp_path, source, {"helper.py": "\n\nb = = 2\n"})
    assert run(tmp_path, source) == ("crashed", f"{START}: the policy cannot be loaded. Got: {got}. {READ}")


@pytest.mark.parametrize(
    ("source", "where", "got"),
    [
        (in_call("os._exit(0)"), CALL, "exit code 0"),
        (in_call("os._exit(3)"), CALL, "exit code 3"),
        ("import os\nos._exit(0)\n", START, "exit code 0"),
        (in_call("os.kill(os.getpid(), signal.SIGKILL)"), CALL, "signal SIGKILL"),
        (in_call("os.kill(os.getpid(), signal.SIGSEGV)"), CALL, "signal SIGSEGV"),
        pytest.param(in_call("os.kill(os.getpid(), 40)"), CALL, "signal 40", marks=linux),
        (in_call("os.closerange(3, 64)", "while True: signal.pause()"), CALL, "a closed answer pipe"),
    ],
)
def test_the_end_of_the_process_is_reported(tmp_path: Path, source: str, where: str, got: str) -> None:
    assert run(tmp_path, source) == ("crashed", f"{where}: the policy's process ended. Got: {got}. {ENDED}")


@pytest.mark.parametrize(
    ("source", "what", "got", "expected", "next_step"),
    [
        (
            "def rebalence(a, b, c): pass\n",
            NO_FORM,
            "rebalence",
            FORMS,
            "rename rebalence to rebalance",
        ),
        (
            "import numpy as np\nclass policy: pass\n",
            NO_FORM,
            "policy",
            FORMS,
            "rename policy to Policy",
        ),
        (
            "rebalance = 1\n",
            NO_FORM,
            "no function and no class",
            FORMS,
            "define one of the two forms",
        ),
        (
            "class Policy:\n    def rebalence(self, a, b, c): pass\n",
            NO_FORM,
            "class Policy with rebalence",
            FORMS,
            "rename rebalence to rebalance",
        ),
        (
            "class Policy: pass\n",
            NO_FORM,
            "class Policy with no methods",
            FORMS,
            "define rebalance in class Policy",
        ),
        (
            "def rebalance(hotness, n_device): pass\n",
            OTHER_ARGUMENTS,
            "rebalance(hotness, n_device)",
            FUNCTION,
            CORRECT,
        ),
        (
            "class Policy:\n    def rebalance(self, a, b, c): pass\n",
            OTHER_ARGUMENTS,
            "no __init__",
            CLASS,
            CORRECT,
        ),
        (
            "class Policy:\n    def __init__(self, case): pass\n    def rebalance(self, hotness): pass\n",
            OTHER_ARGUMENTS,
            "rebalance(self, hotness)",
            CLASS,
            CORRECT,
        ),
    ],
)
def test_a_misspelt_definition_is_met_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, what: str, got: str, expected: str, next_step: str
) -> None:
    monkeypatch.delitem(sys.modules, "policy", raising=False)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    with pytest.raises(PolicyError) as caught:
        load_policy(write_policy(tmp_path, source), PolicyCase(*[None] * len(fields(PolicyCase))))
    text = f"{what}. Got: {got}. Expected: {expected}. Next: {next_step}."
    assert (caught.value.status, str(caught.value)) == ("crashed", text)


def test_a_misspelt_policy_crashes_its_case(tmp_path: Path) -> None:
    text = f"{START}: {NO_FORM}. Got: Polycy. Expected: {FORMS}. Next: rename Polycy to Policy."
    assert run(tmp_path, "class Polycy: pass\n") == ("crashed", text)
