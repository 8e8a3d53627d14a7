"""An interrupted command ends at once, says so, and leaves no process and no temporary file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import pytest

from commands import program as programs
from kit_world import write_kit_world
from placement.evaluation import interruption
from placement.isolation import removal
from submissions import INGESTION, ROOT, write_policy

HANGS = "import signal\nprint('began', flush=True)\ndef rebalance(*arguments):\n    while True: signal.pause()\n"


def interrupt(command: list[str], temporary: Path, number: int, times: int) -> tuple[int, str]:
    """Run a command until a policy of its began, signal its group, and return its exit code and last line."""
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 600
    while not list(temporary.glob("*/case-*")) and process.poll() is None and time.monotonic() < deadline:
        # Looking without a pause would take a core from the program.
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
    for _ in range(times):
        os.killpg(process.pid, number)
    output, _ = process.communicate(timeout=600)
    return process.returncode, output.splitlines()[-1]


@pytest.mark.skipif(sys.platform != "linux", reason="policies end with their simulator on Linux")
@pytest.mark.parametrize(
    ("command", "number", "times"),
    [
        ("check", signal.SIGQUIT, 1),
        ("check", signal.SIGINT, 3),
        ("compare", signal.SIGHUP, 1),
        ("compare", signal.SIGINT, 3),
        ("ingestion", signal.SIGHUP, 1),
        ("ingestion", signal.SIGQUIT, 3),
    ],
)
def test_an_interrupted_command_leaves_nothing(tmp_path: Path, command: str, number: int, times: int) -> None:
    world, temporary = write_kit_world(tmp_path / "world"), tmp_path / "temporary"
    policy = str(write_policy(world / "submission", HANGS))
    commands = {"check": [str(ROOT / "starting_kit" / "kit.py"), "check", policy]}
    options = {"--submission": policy, "--traces": world / "traces", "--grid": world / "grid.yaml"}
    options["--output"] = world / "output"
    arguments = [str(text) for option in options.items() for text in option]
    commands["ingestion"] = [str(INGESTION), *arguments]
    kit = [
        str(ROOT / "starting_kit" / "kit.py"),
        "compare",
        policy,
        policy,
        "--seeds",
        "0",
        "--reference",
        str(world / "reference"),
    ]
    commands["compare"] = [*kit, *arguments[2:]]
    words = {name: f"{name}: interrupted" for name in ("check", "compare")}
    words["ingestion"] = "ingestion: interrupted, there are no results"
    assert interrupt(commands[command], temporary, number, times) == (130, words[command])
    assert list(temporary.iterdir()) == []
    assert not (world / "output" / "results.json").exists()


def test_what_is_made_while_an_interrupt_removes_the_folder_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, remove_folder, refused = tmp_path / "run", removal.remove_folder, []
    (folder / "case-one").mkdir(parents=True)

    def meanwhile(path: str) -> bool:
        try:
            (folder / "case-two").mkdir()
        except FileNotFoundError:
            refused.append(path)
        return remove_folder(path)

    monkeypatch.setattr(removal, "remove_folder", meanwhile)
    interruption.remove(str(folder))
    assert len(refused) == 1 and list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals to a process are of Unix")
def test_an_interrupted_program_ends_when_nobody_reads_its_lines_any_more() -> None:
    program = "import os, signal, sys\nsys.path.insert(0, sys.argv[1])\n"
    program += "from placement.evaluation.interruption import end_when_interrupted\n"
    program += (
        "end_when_interrupted('interrupted')\nsys.stdin.read()\nos.kill(os.getpid(), signal.SIGTERM)\nsignal.pause()"
    )
    reading, writing = os.pipe()
    arguments = [sys.executable, "-c", program, str(INGESTION.parent)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=writing) as process:
        os.close(writing)
        os.close(reading)
        process.communicate(timeout=600)
    assert process.returncode == interruption.INTERRUPTED


# Found before the standard library's, after the programs' own folders: the first that is imported once a program can be
# interrupted.
WAITS = "import signal\nprint('imports', flush=True)\nsignal.pause()\n"
FAILS = (
    "try:\n    raise MemoryError\nexcept MemoryError as error:\n    raise ImportError('of\\nmany lines') from error\n"
)
INTERRUPTED = {
    "ingestion_program/ingestion.py": "ingestion: interrupted, there are no results",
    "scoring_program/scoring.py": "scoring: interrupted, there is no score",
    "starting_kit/kit.py": "kit.py: interrupted",
    "starting_kit/lab/__main__.py": "lab: interrupted",
    "tools/benchmark.py": "benchmark.py: interrupted",
    "tools/bundle.py": "bundle.py: interrupted",
    "tools/judge.py": "judge.py: interrupted; finished measurements are kept and will not be repeated",
    "tools/leaderboard.py": "leaderboard: interrupted; what is finished is kept; repeat the same command to continue",
    "tools/rehearse.py": "rehearse.py: interrupted",
    "tools/seal.py": "seal.py: interrupted",
}


def importing(program: str, folder: Path, source: str) -> subprocess.Popen[str]:
    """A program that is started, and imports a module of another source."""
    (folder / "argparse.py").write_text(source, encoding="utf-8")
    started = ["-m", "lab"] if program.endswith("__main__.py") else [str(ROOT / program)]
    command, environment = [sys.executable, *started], {**os.environ, "PYTHONPATH": str(folder)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment, cwd=ROOT / "starting_kit", text=True, **pipes)


@pytest.mark.skipif(sys.platform == "win32", reason="signals to a process are of Unix")
@pytest.mark.parametrize(("program", "said"), INTERRUPTED.items())
def test_a_program_that_still_imports_ends_with_a_sentence(tmp_path: Path, program: str, said: str) -> None:
    with importing(program, tmp_path, WAITS) as process:
        assert process.stdout.readline() == "imports\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=600) == (f"{said}\n", "") and process.returncode == 130


@pytest.mark.parametrize("program", ["ingestion_program/ingestion.py", "scoring_program/scoring.py"])
def test_a_program_that_cannot_import_ends_with_a_sentence_and_is_no_participant_s_fault(
    tmp_path: Path, program: str
) -> None:
    with importing(program, tmp_path, FAILS) as process:
        output, errors = process.communicate(timeout=600)
    assert (process.returncode, output, len(errors.splitlines())) == (2, "", 1)
    assert ": the program cannot begin. Got: MemoryError. Expected: memory, " in errors


@pytest.mark.skipif(sys.platform != "linux", reason="the end of a parent is told on Linux")
def test_a_program_ends_with_the_one_that_started_it() -> None:
    """Also where that one is killed: a kit's ingestion program would run on, and write results."""
    child = (
        "import signal, sys\nsys.path.insert(0, sys.argv[1])\nfrom placement.evaluation import interruption as own\n"
    )
    child += "own.end_when_interrupted('ended')\nown.end_with_parent()\nprint('began', flush=True)\nsignal.pause()"
    parent = "import subprocess, sys\nsys.path.insert(0, sys.argv[1])\nfrom placement.evaluation import interruption\n"
    parent += "subprocess.run([sys.executable, '-c', sys.argv[2], sys.argv[1]], env=interruption.environment())"
    command = [sys.executable, "-c", parent, str(INGESTION.parent), child]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "began\n"
        process.kill()
        # The end of the pipe is the child's end.
        assert process.stdout.read() == "ended\n"


@pytest.mark.skipif(sys.platform != "linux", reason="the end of a parent is told on Linux")
def test_a_fork_whose_program_was_killed_before_it_began_ends() -> None:
    program = """if True:
        import multiprocessing, os, signal, sys, time
        sys.path.insert(0, sys.argv[1])
        from placement.evaluation.interruption import die_with_program

        def begin(parent):
            while os.getppid() == parent:
                time.sleep(0.001)
            die_with_program()
            os.write(1, b"lives")

        multiprocessing.get_context("fork").Process(target=begin, args=(os.getpid(),)).start()
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", program, str(INGESTION.parent)], stdout=subprocess.PIPE, timeout=600)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"")


def test_whatever_ends_a_command_ends_its_program(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text("print('began', flush=True)\ninput()\n", encoding="utf-8")
    pipes, started = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}, []

    def command() -> None:
        with programs._started(tmp_path / "waits.py", (), **pipes) as process:
            started.append(process)
            process.stdout.readline()
            raise RuntimeError("the terminal is gone")

    with pytest.raises(RuntimeError, match="the terminal is gone"):
        command()
    assert started[0].returncode == -signal.SIGTERM


@pytest.mark.skipif(sys.platform == "win32", reason="signals to a thread are of Unix")
def test_a_signal_that_does_not_wake_the_program_is_looked_at_all_the_same() -> None:
    """As one does that comes between Python's last look and its wait, here through another thread."""
    future, handled = Future(), threading.Event()

    def handler(*signal_and_frame: object) -> None:
        future.set_result("interrupted")
        handled.set()

    def send() -> None:
        while not future._waiters:
            pass
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        if not handled.wait(20):
            future.set_result("not looked at")

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        thread = threading.Thread(target=send)
        thread.start()
        assert interruption.results_of([future]) == ["interrupted"]
        thread.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
