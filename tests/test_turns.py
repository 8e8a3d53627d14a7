"""The cases of a trace take turns: calls in order of iteration, each window copied once, memory counted together."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import time
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from placement.evaluation import case_run
from placement.evaluation.case_run import Outcome
from placement.evaluation.turns import run_cases
from placement.isolation import handover, neighbours, template
from placement.isolation.neighbours import Neighbours
from placement.trace import Trace
from submissions import DECLINES, run_case, run_policy, sentence_of, stored_hotness, tiny_grid, write_policy

# Redeploys at the first call of the case with two devices, whose second call is then later than the other's.
UNEVEN = """
    class Policy:
        def __init__(self, case):
            self.case, self.calls = case, 0

        def rebalance(self, hotness, deployment, iteration):
            self.calls += 1
            return ([0], deployment) if self.case.devices == 2 and self.calls == 1 else None
"""

# The parent, what is random, whether standard input waits, and memory that it shares and could write to.
SAYS = """
import os, random
import numpy as np
print(os.getppid(), np.random.random(), random.random(), os.get_blocking(0), sep="\\n")
os.set_blocking(0, False)
with open("/proc/self/maps") as maps:
    print([line for line in maps if line.split()[1].startswith("rw") and line.split()[1].endswith("s")])
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")


def run_both(folder: Path, policy: str, **limits: float) -> list[Outcome]:
    """Run Small/one at ep 2 and ep 4 against a policy, together; outcomes as they end."""
    grid, trace = tiny_grid(**limits), Trace(stored_hotness("Small"))
    return [*run_cases(write_policy(folder, policy), grid.cases[:2], lambda: trace, grid, time.monotonic() + 300)]


def test_calls_are_served_in_order_of_iteration_and_those_of_one_iteration_in_the_grid_s_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    class Watched(case_run.PolicyProcess):
        def start(self) -> str:
            seen.append((0, self._case.ep))
            return super().start()

        def rebalance(self, start: int, stop: int, deployment: np.ndarray, iteration: int) -> object:
            seen.append((iteration, self._case.ep))
            # Between its calls, nobody can ask what is in its temporary folder.
            assert self._scratch.folder.parent.stat().st_mode & 0o777 == 0
            return super().rebalance(start, stop, deployment, iteration)

    monkeypatch.setattr(case_run, "PolicyProcess", Watched)
    outcomes = run_both(tmp_path, UNEVEN)
    assert [outcome.row["status"] for outcome in outcomes] == ["ok", "ok"]
    assert seen == [(0, 2), (0, 4), (4, 2), (4, 4), (8, 4), (9, 2), (12, 4), (13, 2)]


def test_cases_that_are_measured_together_get_the_digits_of_each_alone(tmp_path: Path) -> None:
    grid, trace = tiny_grid(), Trace(stored_hotness("Small"))
    together = {outcome.case: outcome.series for outcome in run_both(tmp_path, UNEVEN)}
    for case in grid.cases[:2]:
        alone = run_case(tmp_path, case, trace, grid, time.monotonic() + 300).series
        assert [together[case][name].tolist() for name in alone] == [alone[name].tolist() for name in alone]


def test_a_template_begins_to_start_before_its_trace_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    join = Neighbours.join
    monkeypatch.setattr(Neighbours, "join", lambda *arguments: (order.append("joins"), join(*arguments))[1])
    grid, folder = tiny_grid(), write_policy(tmp_path, DECLINES)

    def open_trace() -> Trace:
        order.append("opened")
        return Trace(stored_hotness("Small"))

    outcomes = [*run_cases(folder, grid.cases[:2], open_trace, grid, time.monotonic() + 300)]
    assert order == ["joins", "joins", "opened"]
    assert [outcome.row["status"] for outcome in outcomes] == ["ok", "ok"]


def test_a_window_that_two_cases_are_handed_is_copied_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = []

    def share_window(trace: Trace, start: int, stop: int) -> int:
        copies.append(stop)
        return handover.share_window(trace, start, stop)

    monkeypatch.setattr(neighbours, "share_window", share_window)
    # What one policy writes into its window, the other does not see.
    writes = """
        def rebalance(hotness, n_device, n_red_expert):
            assert hotness.max() < 1000
            hotness[:] = 1000
            return False, [], [], None
    """
    outcomes = run_both(tmp_path, writes)
    assert [outcome.row["status"] for outcome in outcomes] == ["ok", "ok"]
    assert copies == [4, 8, 12]


def test_a_case_that_ends_early_leaves_the_other_its_turns(tmp_path: Path) -> None:
    outcomes = run_both(tmp_path, DECLINES.replace("    return", "    assert n_device == 4\n    return"))
    assert [(outcome.case.ep, outcome.row["status"]) for outcome in outcomes] == [(2, "crashed"), (4, "ok")]


def test_no_process_is_left_where_the_machine_is_to_blame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = []

    class Broken(case_run.PolicyProcess):
        def start(self) -> str:
            super().start()
            left.append(self._process)
            raise RuntimeError

    monkeypatch.setattr(case_run, "PolicyProcess", Broken)
    with pytest.raises(RuntimeError):
        run_both(tmp_path, DECLINES)
    assert [process.returncode for process in left] == [-9]


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the system does not tell")
def test_what_the_policies_of_a_trace_hold_together_is_limited_and_the_running_one_fails(tmp_path: Path) -> None:
    # Each takes 150 MiB when it starts: the second is the one too many.
    holds = "HELD = b'x' * (150 * 2**20)\n" + DECLINES.lstrip()
    both = 320 * 2**20
    outcomes = run_both(tmp_path, holds, memory_bytes=both, trace_memory_bytes=both)
    assert [(outcome.case.ep, outcome.row["status"]) for outcome in outcomes] == [(4, "out_of_memory"), (2, "ok")]
    text = sentence_of(outcomes[0].row)
    assert text.startswith("Small/one ep 4, start: the policy used too much of the machine. Got: ")
    assert f" bytes of memory in use by this trace's 2 policies. Expected: at most {both} (trace_memory_bytes)." in text


def test_a_process_that_left_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "resident_memory", lambda process: 100 * process)
    crowd = Neighbours(Trace(stored_hotness("Small")))
    crowd.join()
    crowd.join()
    assert crowd.excess(1, 300) is None and crowd.excess(2, 300) is None
    got = "300 bytes of memory in use by this trace's 2 policies", "at most 299 (trace_memory_bytes)"
    assert crowd.excess(2, 299) == got
    crowd.leave(1)
    assert crowd.excess(2, 299) is None
    crowd.leave(2)


def test_a_window_s_copy_goes_with_the_last_policy() -> None:
    crowd = Neighbours(Trace(stored_hotness("Small")))
    crowd.join()
    crowd.join()
    first, second = crowd.window(0, 3), crowd.window(0, 3)
    assert os.fstat(first).st_ino == os.fstat(second).st_ino
    # Where one has read to is nothing that the other can ask.
    assert os.read(first, 8) == os.read(second, 8)
    copy = crowd._descriptor
    crowd.leave(1)
    assert os.fstat(copy)
    crowd.leave(2)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(copy)
    for descriptor in (first, second):
        os.close(descriptor)


def of_both(folder: Path, lines: str) -> list[list[str]]:
    """What the processes of two cases of one trace say at their start, each in a line."""
    return [outcome.log.splitlines() for outcome in run_both(folder, lines + textwrap.dedent(DECLINES))]


@linux
def test_all_processes_of_a_trace_are_the_simulator_s_children_and_differ_in_what_is_random(tmp_path: Path) -> None:
    first, second = of_both(tmp_path, SAYS)
    assert first[0] == second[0] == str(os.getpid())
    assert all(one != other for one, other in zip(first[1:3], second[1:3], strict=True))


@linux
def test_processes_of_a_trace_have_nothing_open_in_common_and_no_memory_to_write_to(tmp_path: Path) -> None:
    assert [said[3:] for said in of_both(tmp_path, SAYS)] == [["True", "[]"]] * 2


def test_where_nothing_forks_every_policy_is_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template, "FORKS", False)
    outcomes = run_both(tmp_path, DECLINES)
    assert [(outcome.row["status"], outcome.layers) for outcome in outcomes] == [("ok", outcomes[0].layers)] * 2


@linux
def test_an_end_is_waited_for_no_longer_than_allowed() -> None:
    process = os.fork()
    if not process:
        signal.pause()
    fork = template.Fork(process)
    with pytest.raises(subprocess.TimeoutExpired):
        fork.wait(0)
    os.kill(process, signal.SIGKILL)
    assert (fork.wait(), fork.wait(0)) == (-9, -9)


@linux
def test_a_template_that_is_used_up_says_so_again() -> None:
    with template.Template() as made:
        made.begin()
        made._process.kill()
        for _ in range(2):
            with pytest.raises(template.TemplateEnded) as caught:
                made.fork([], 60.0)
            assert (caught.value.exit_code, caught.value.said) == (-9, "")


@linux
def test_an_answer_that_came_too_late_is_not_taken_for_the_next_one_s(tmp_path: Path) -> None:
    with template.Template() as made:
        for seconds, expected in ((0.0, "timeout"), (300.0, "ok")):
            assert run_policy(write_policy(tmp_path, DECLINES), seconds, made).row["status"] == expected


@linux
def test_the_template_is_told_nothing_of_a_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, encode = [], template.protocol.encode

    def noted(request: dict[str, object]) -> bytes:
        told.append(request)
        return encode(request)

    monkeypatch.setattr(template, "protocol", SimpleNamespace(**{**vars(template.protocol), "encode": noted}))
    says = "import os\nprint(*(os.environ[name] for name in ('TMPDIR', 'HOME', 'NUMBA_CACHE_DIR')))\n"
    first, second = (outcome.log.split() for outcome in run_both(tmp_path, says + textwrap.dedent(DECLINES)))
    assert first == first[:1] * 3 and second == second[:1] * 3 and first != second
    assert told == [{"fork": True}] * 2


@linux
def test_a_template_that_cannot_fork_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    # The second fork is that of the process between.
    boot = """
import os
fork, left = os.fork, [None]
def first_alone():
    if left:
        return left.pop() or fork()
    raise OSError("full")
os.fork = first_alone
"""
    monkeypatch.setattr(template, "BOOT", boot + template.BOOT)
    with template.Template() as made, pytest.raises(template.TemplateEnded) as caught:
        made.fork([1, 1, 1], 60.0)
    assert caught.value.exit_code == 1
    assert caught.value.said.endswith("\nOSError: full\n")


@pytest.mark.parametrize("policy", [DECLINES, "raise ValueError"])
def test_a_trace_goes_with_its_last_case(tmp_path: Path, policy: str) -> None:
    trace = Trace(stored_hotness("Small"))
    gone, grid = weakref.ref(trace), tiny_grid()
    traces = [trace]
    del trace
    gc.disable()
    try:
        for _ in run_cases(write_policy(tmp_path, policy), grid.cases[:2], traces.pop, grid, time.monotonic() + 300):
            pass
        assert gone() is None
    finally:
        gc.enable()
