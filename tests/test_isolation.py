"""What isolates a policy is active, is enforced where the grid requires it, and leaves honest policies alone."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from placement.errors import OrganizerError
from placement.grid import grid_from_mapping
from placement.isolation import failures, landlock, sandbox, template
from placement.isolation import process as policy_process
from placement.isolation.neighbours import Neighbours
from placement.isolation.process import PolicyProcess
from placement.trace import Trace
from submissions import (
    DECLINES,
    grid_mapping,
    run_case,
    run_policy,
    sentence_of,
    stored_hotness,
    tiny_grid,
    write_policy,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layers are Linux's")
landlocked = pytest.mark.skipif(landlock.version() == 0, reason="this kernel has no Landlock")


def said(folder: Path, *lines: str, **files: str) -> str:
    """What a policy prints that runs lines at import; its case must be measured."""
    outcome = run_policy(write_policy(folder, "\n".join(lines) + "\n" + DECLINES, files))
    assert outcome.row["status"] == "ok", sentence_of(outcome.row)
    return outcome.log


@landlocked
def test_every_required_layer_is_active_here(tmp_path: Path) -> None:
    layers = run_policy(write_policy(tmp_path, DECLINES)).layers
    assert set(sandbox.REQUIRED_LAYERS) <= set(layers)
    assert list(layers) == [layer for layer in sandbox.LAYERS if layer in layers]


def run_with(folder: Path, mode: str) -> str:
    """Status of a case under a grid whose machine lacks a layer that nobody has."""
    grid = grid_from_mapping(grid_mapping() | {"sandbox": mode})
    trace = Trace(stored_hotness("Small"))
    return run_case(write_policy(folder, DECLINES), grid.cases[0], trace, grid, time.monotonic() + 300).row["status"]


def test_a_missing_layer_is_the_organizer_s_error_where_the_grid_requires_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "REQUIRED_LAYERS", ("limits", "walls", "moat"))
    assert run_with(tmp_path, "best_effort") == "ok"
    with pytest.raises(OrganizerError) as caught:
        run_with(tmp_path, "required")
    assert str(caught.value) == (
        "sandbox: this machine cannot isolate a policy as the grid requires. Got: no walls, moat. "
        "Expected: limits, walls, moat: a Linux kernel with Landlock and seccomp. "
        "Next: use a machine that has them, or set the grid's sandbox to best_effort."
    )


def test_a_policy_s_own_files_its_scratch_folder_threads_and_libraries_work(tmp_path: Path) -> None:
    lines = (
        "import os, tempfile, threading, numpy.random, numpy.linalg, zoneinfo, near, placement.ds_eplb",
        "from concurrent.futures import ThreadPoolExecutor",
        "print(open('data.txt').read(), near.VALUE, list(ThreadPoolExecutor(2).map(abs, [-1])))",
        "with tempfile.NamedTemporaryFile('w+') as file:",
        "    print(file.write('four'), os.path.dirname(file.name) == os.environ['TMPDIR'] == os.environ['HOME'])",
        "open(os.path.join(os.environ['TMPDIR'], 'kept'), 'wb').write(b'x')",
        # Both are refused the quick way, and go on without.
        "with tempfile.TemporaryFile() as file:",
        "    os.posix_fallocate(file.fileno(), 0, 2**20)",
        "    print(len(file.read()))",
        # numpy reserves room for arrays of this size.
        "numpy.save(os.path.join(os.environ['TMPDIR'], 'large.npy'), numpy.ones(2**22))",
        "print(numpy.load(os.path.join(os.environ['TMPDIR'], 'large.npy')).sum())",
        "with tempfile.TemporaryDirectory() as folder:",
        "    os.makedirs(os.path.join(folder, 'deep', 'deeper'))",
        "    open(os.path.join(folder, 'deep', 'file'), 'w').close()",
        "print(os.path.exists(folder), os.listdir(tempfile.mkdtemp()))",
        "print(len(os.urandom(4)), zoneinfo.ZoneInfo('Asia/Tokyo'), len(numpy.linalg.svd(numpy.eye(3))[1]))",
    )
    log = said(tmp_path, *lines, **{"data.txt": "text", "near.py": "VALUE = 3\n"})
    assert log == "text 3 [1]\n4 True\n1048576\n4194304.0\nFalse []\n4 Asia/Tokyo 3"


@landlocked
def test_nothing_else_of_the_file_system_can_be_read_or_written(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    targets = [str(secret), "/etc/passwd", *(f"/proc/self/{name}" for name in ("environ", "smaps", "mem"))]
    targets.append(str(Path(sandbox.PACKAGE).parent / "grid.yaml"))
    log = said(
        tmp_path / "submission",
        "import os",
        f"for act in ([lambda p=p: open(p) for p in {targets!r}]",
        "        + [lambda p=p: os.listdir(p) for p in ('/', '/tmp', '..', '/proc', '/dev')]",
        "        + [lambda p=p: open(p, 'w') for p in ('mine', '/tmp/x', '/dev/shm/x', __file__)]",
        "        + [lambda: os.mkdir('new'), lambda: os.rmdir(os.environ['TMPDIR']), lambda: os.unlink('policy.py')]):",
        "    try:",
        "        print('OPEN', act())",
        "    except PermissionError:",
        "        print('closed')",
    )
    assert log.split() == ["closed"] * 18


@landlocked
def test_nothing_leaves_a_folder_of_the_scratch_folder(tmp_path: Path) -> None:
    log = said(
        tmp_path,
        "import os, tempfile",
        "inner, place = tempfile.mkdtemp(), os.environ['TMPDIR']",
        "open(f'{inner}/file', 'w').close()",
        "os.rename(f'{inner}/file', f'{inner}/renamed')",
        "for act in (os.rename, os.link):",
        "    try:",
        "        print('OPEN', act(f'{inner}/renamed', f'{place}/moved'))",
        "    except OSError as error:",
        "        print('closed', error.strerror)",
    )
    assert log.splitlines() == ["closed Invalid cross-device link"] * 2


@landlocked
@pytest.mark.parametrize("move", ["os.rename", "shutil.move"])
def test_a_policy_that_moves_a_file_reads_how_to_copy_it(tmp_path: Path, move: str) -> None:
    lines = ("import os, shutil, tempfile", "folder = tempfile.mkdtemp()", "name = os.environ['TMPDIR'] + '/name'")
    source = "\n".join([*lines, "open(name, 'w').close()", f"{move}(name, folder + '/name')", DECLINES])
    step = "copy the file with shutil.copyfile and remove the original; files cannot be moved between folders here"
    assert sentence_of(run_policy(write_policy(tmp_path, source)).row).endswith(f" Next: {step}.")


def test_a_memory_map_is_held_without_being_read() -> None:
    held, nothing = sandbox.hold_maps(os.getpid()), sandbox.hold_maps(0)
    try:
        assert os.readlink(f"/proc/self/fd/{held}") == f"/proc/{os.getpid()}/maps"
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.read(held, 1)
        assert os.read(nothing, 1) == b""
    finally:
        os.close(held)
        os.close(nothing)


def test_a_policy_finds_the_libraries_that_it_has_loaded(tmp_path: Path) -> None:
    assert said(tmp_path, "import ctypes", "print('libc' in open('/proc/self/maps').read())") == "True"


def wait_for_the_end(process: PolicyProcess) -> None:
    """Return when the process has ended, and leave its exit code to be read."""
    os.waitid(os.P_PID, process._process.pid, os.WEXITED | os.WNOWAIT)


def wait_for_requests(process: PolicyProcess) -> None:
    """Return when the process has closed its end of the requests."""
    select.select([process._requests], [], [])


def wait_for_answers(process: PolicyProcess) -> None:
    """Return when the process has written an answer, or closed its end of the answers."""
    select.select([process._answers], [], [])


def fill_requests(process: PolicyProcess) -> None:
    """Send until nothing more fits."""
    with suppress(BlockingIOError):
        while True:
            process._requests.send(bytes(2**16))


# Stands for what the process runs before it is isolated.
BOOT = """
import json, sys; sys.path[:] = json.loads(sys.argv[2])
import os, signal, socket, struct
from placement.isolation import forking, host
def main(requests, answers):
    requests = socket.socket(fileno=requests)
    def answer(header):
        requests.recv(1)
        data = json.dumps(header).encode()
        os.write(answers, struct.pack("<I", len(data)) + data)
    ACT
host.main = main
forking.main(int(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("boot", "before", "got"),
    [
        ("sys.exit('no numpy here')", None, "exit code 1: no numpy here"),
        ("sys.exit('no numpy here')", wait_for_the_end, "exit code 1: no numpy here"),
        ("os.kill(os.getpid(), signal.SIGKILL)", None, "signal SIGKILL"),
        ("os.kill(os.getpid(), signal.SIGKILL)", wait_for_the_end, "signal SIGKILL"),
        ("requests.close(); signal.pause()", wait_for_requests, "a closed answer pipe"),
        ("os.close(answers); signal.pause()", wait_for_answers, "a closed answer pipe"),
        ("os.write(answers, b'x'); signal.pause()", wait_for_answers, "an answer before its request"),
        ("signal.pause()", fill_requests, "requests are not read"),
        ("answer({'kind': 'isolated'}); signal.pause()", None, "no valid layers"),
        ("answer([]); signal.pause()", None, "a header that is not a JSON object"),
        ("answer({'kind': 'problem', 'status': 'x'}); signal.pause()", None, "a problem of no known status"),
        (
            "answer(dict.fromkeys(('what', 'expected', 'next'), '') | "
            "{'kind': 'problem', 'status': 'timeout', 'got': 'no time'}); signal.pause()",
            None,
            "no time",
        ),
        # Nobody of the same user can look into it yet.
        pytest.param(
            "import ctypes; sys.exit(f'dumpable: {ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)}')",
            wait_for_the_end,
            "exit code 1: dumpable: 0",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells"),
        ),
    ],
)
def test_what_goes_wrong_before_the_policy_is_reached_is_not_its_fault(
    boot: str,
    before: Callable[[PolicyProcess], None] | None,
    got: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(template, "BOOT", BOOT.replace("ACT", boot))
    fork = PolicyProcess._fork
    monkeypatch.setattr(PolicyProcess, "_fork", lambda process: (fork(process), before and before(process)))
    grid, folder = tiny_grid(), write_policy(tmp_path, DECLINES)
    with (
        PolicyProcess(
            folder, grid.cases[0], Neighbours(Trace(stored_hotness("Small"))), grid, time.monotonic() + 300
        ) as process,
        pytest.raises(OrganizerError) as caught,
    ):
        process.start()
    assert str(caught.value) == (
        f"sandbox: a process for the policy cannot be started on this machine. Got: {got}. "
        "Expected: Python with numpy, started with few environment variables within 60 s. "
        f"Next: free processes and memory, or try {sys.executable} -c 'import numpy' in an empty environment."
    )


def test_a_process_that_is_not_isolated_in_time_is_not_the_policy_s_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template, "BOOT", "import signal; signal.pause()")
    monkeypatch.setattr(policy_process, "ISOLATED_SECONDS", 0.0)
    with pytest.raises(OrganizerError, match=r"Got: no answer in time\. Expected: Python with numpy, .* within 0 s\."):
        run_policy(write_policy(tmp_path, DECLINES), template=None)


def test_a_process_that_is_not_isolated_when_the_grid_s_time_is_over_is_a_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template, "BOOT", "import signal; signal.pause()")
    row = run_policy(write_policy(tmp_path, DECLINES), seconds_left=0, template=None).row
    assert row["status"] == "timeout"
    assert "start: the policy took too long. Got: no answer within 300 s (grid_seconds)." in sentence_of(row)


def test_the_time_until_a_process_is_isolated_is_not_the_policy_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolate, monotonic, passed = PolicyProcess._isolate, time.monotonic, [0.0]

    def slow(process: PolicyProcess) -> list[str]:
        layers = isolate(process)
        # More than the policy's start and its case may take.
        passed[0] += 100.0
        return layers

    monkeypatch.setattr(PolicyProcess, "_isolate", slow)
    monkeypatch.setattr(policy_process, "time", SimpleNamespace(monotonic=lambda: monotonic() + passed[0]))
    assert run_policy(write_policy(tmp_path, DECLINES)).row["status"] == "ok"
    assert passed == [100.0]


def test_the_kit_s_folders_are_not_among_the_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    root = sandbox.PACKAGE.parent.parent
    monkeypatch.setattr(sys, "path", ["", "/somewhere/else", str(root / "tests"), str(root), f"{root}/a/../tools"])
    assert sandbox.libraries() == ["/somewhere/else"]
    # An environment inside the kit may refer to another one there.
    other = str(root / "other" / "lib" / "site-packages")
    monkeypatch.setattr(sys, "path", [other, str(root / "starting_kit")])
    assert sandbox.libraries() == [other]
    # Also not when the clone itself is the virtual environment.
    monkeypatch.setattr(sandbox.sysconfig, "get_path", lambda name: str(root / "lib" / "site-packages"))
    monkeypatch.setattr(sys, "path", [str(root / "lib" / "site-packages"), str(root / "starting_kit")])
    assert sandbox.libraries() == [str(root / "lib" / "site-packages")]


def test_a_policy_is_stopped_between_its_calls_and_its_folder_is_removed_with_it(tmp_path: Path) -> None:
    folder = write_policy(tmp_path, "import os, threading\nprint(os.environ['TMPDIR'], flush=True)\n" + DECLINES)
    grid, deadline = tiny_grid(), time.monotonic() + 300
    with PolicyProcess(folder, grid.cases[0], Neighbours(Trace(stored_hotness("Small"))), grid, deadline) as process:
        process.start()
        stat = Path(f"/proc/{process._process.pid}/stat")
        while (state := stat.read_text().rpartition(")")[2].split()[0]) != "T" and time.monotonic() < deadline:
            os.sched_yield()
        assert state == "T"
    scratch = Path(process.log)
    assert scratch.parent.name.startswith("case-") and not scratch.parent.exists()


@pytest.mark.parametrize(
    ("lines", "got"),
    [
        (("for n in range(1200): open(f'{folder}/{n}', 'w').close()",),
         "more than 1000 files and folders in its temporary folder"),
        (("import threading", "threading.stack_size(65536)", "done = threading.Event()",
          "for n in range(400): threading.Thread(target=done.wait, daemon=True).start()"), r"\d+ threads"),
    ],
)  # fmt: skip
def test_what_the_operating_system_does_not_limit_is_counted(tmp_path: Path, lines: tuple[str, ...], got: str) -> None:
    source = "\n".join(["import os", "folder = os.environ['TMPDIR']", *lines]) + "\n"
    row = run_policy(write_policy(tmp_path, source + DECLINES)).row
    assert row["status"] == "out_of_memory"
    # It may have finished before it was looked at.
    place = r"(; the policy was at policy\.py, line \d, in <module>)?"
    text = f"Small/one ep 2, start: the policy used too much of the machine. Got: {got}{place}. Expected: at most "
    assert re.match(text, sentence_of(row))


def test_a_file_cannot_grow_without_end(tmp_path: Path) -> None:
    source = "import os\nopen(os.path.join(os.environ['TMPDIR'], 'large'), 'wb').truncate(2**30)\n"
    row = run_policy(write_policy(tmp_path, source + DECLINES)).row
    assert (row["status"], "[Errno 27] File too large (policy.py, line 2, in <module>)" in sentence_of(row)) == (
        "crashed",
        True,
    )


def test_processor_time_of_all_threads_counts() -> None:
    error = failures.ended(-signal.SIGXCPU, 0.0, tiny_grid(case_seconds=7).limits)
    assert error.status == "timeout"
    assert str(error) == (
        "the policy took too long. Got: more than 7 s of processor time in all threads (case_seconds). Expected: "
        "start and all calls of a case together. Next: make the policy faster; kit.py profile shows where the seconds "
        "of a "
        "call go."
    )


@pytest.mark.parametrize("ignored", [False, True])
def test_threads_that_burn_processors_are_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ignored: bool
) -> None:
    # This side's clock is slow: the case's second is over for the processor long before it is here.
    monotonic = time.monotonic
    monkeypatch.setattr(policy_process, "time", SimpleNamespace(monotonic=lambda: monotonic() / 1000))
    source = """
        import hashlib, signal, threading
        data = bytes(2**24)
        def burn():
            while True:
                hashlib.sha256(data)
        """
    source = textwrap.dedent(source) + "signal.signal(signal.SIGXCPU, signal.SIG_IGN)\n" * ignored
    row = run_policy(
        write_policy(tmp_path, source + "threading.Thread(target=burn, daemon=True).start()\nburn()\n"),
        case_seconds=1,
    ).row
    assert row["status"] == "timeout"
    assert "start: the policy took too long. Got: more than 1 s of processor time in all threads" in sentence_of(row)


def test_a_policy_cannot_raise_its_limit_of_processor_time(tmp_path: Path) -> None:
    lines = "import resource\nprint(*resource.getrlimit(resource.RLIMIT_CPU))\nresource.setrlimit(0, (9999, 9999))\n"
    outcome = run_policy(write_policy(tmp_path, lines + DECLINES), case_seconds=7)
    soft, hard = map(int, outcome.log.splitlines()[0].split())
    # The time before the process was isolated comes on top.
    assert (soft > 7, hard - soft) == (True, 1)
    assert "Got: ValueError: not allowed to raise maximum limit" in sentence_of(outcome.row)


def test_an_exception_shows_the_policy_s_own_lines_only(tmp_path: Path) -> None:
    source = "import json\ndef rebalance(*args):\n    try:\n        json.loads('{')\n    except ValueError as error:\n"
    outcome = run_policy(write_policy(tmp_path, source + "        raise KeyError('no plan') from error\n"))
    lines = [line for line in outcome.log.splitlines() if line.startswith("  File ")]
    assert lines == [f'  File "policy.py", line {number}, in rebalance' for number in (4, 6)]
    assert "json/decoder.py" not in outcome.log and "KeyError: 'no plan'" in outcome.log
