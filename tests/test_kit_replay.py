"""`kit.py replay`: what a policy saw at a call, and the policy called again there."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kit
from kit_world import write_kit_world
from placement.errors import PolicyError
from submissions import DECLINES, ROOT, run_program, write_policy

KIT = ROOT / "starting_kit" / "kit.py"
# Answers another table at every call, and prints a digest of what it is given.
RECORDS = """
    import hashlib
    import numpy as np

    class Policy:
        def __init__(self, case):
            self.case, self.calls = case, 0

        def rebalance(self, hotness, deployment, iteration):
            self.calls += 1
            seen = hotness.tobytes() + deployment.tobytes()
            print("saw", self.calls, iteration, hashlib.sha256(seen).hexdigest(), flush=True)
            if self.calls == 3:
                raise ValueError("the third call")
            hotness[:], table = 0, deployment[:, ::-1].copy()
            deployment[:] = 0
            return ([0, 1], table) if self.calls == 1 else None
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of two cases with its traces."""
    return write_kit_world(tmp_path_factory.mktemp("world"))


def replay(world: Path, policy: Path, *options: object, text: str = "") -> subprocess.CompletedProcess[str]:
    """`kit.py replay` on the tiny grid; text: typed at the prompt."""
    paths = ("--grid", world / "grid.yaml", "--traces", world / "traces")
    command = [sys.executable, str(KIT), "replay", *map(str, (policy, *paths, *options))]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=1200, check=False)


def digest(hotness: np.ndarray, deployment: np.ndarray) -> str:
    return hashlib.sha256(hotness.tobytes() + deployment.tobytes()).hexdigest()


def test_a_moment_is_what_the_policy_saw(world: Path, tmp_path: Path) -> None:
    policy = write_policy(tmp_path, RECORDS)
    folders = ("--traces", world / "traces", "--reference", world / "reference", "--output", tmp_path / "output")
    arguments = ("--grid", world / "grid.yaml", *folders, "--case", "Small/one:4")
    log = run_program(KIT, "run", policy, *arguments).stdout.splitlines()
    seen = [line.split()[2:] for line in log if line.startswith("  | saw ")]
    assert [int(call) for call, *_ in seen] == [1, 2, 3]
    for call, iteration, digits in seen:
        moment = kit.replay(policy, "Small/one:4", int(call), world / "grid.yaml", world / "traces")
        assert (moment.iteration, digest(moment.hotness, moment.deployment)) == (int(iteration), digits)
    assert moment.hotness.shape == (3, 2, 4) and moment.hotness.dtype == np.int32
    assert moment.deployment.shape == (2, 4, 2) and moment.deployment.dtype == np.int64
    assert (moment.case.layers, moment.case.devices, moment.case.iterations) == (2, 4, 14)


def test_a_moment_can_be_saved(world: Path, tmp_path: Path) -> None:
    policy = write_policy(tmp_path, RECORDS)
    done = replay(world, policy, "--case", "Large/two ep 8", "--call", 2, "--save", tmp_path / "call")
    moment = kit.replay(policy, "Large/two:8", 2, world / "grid.yaml", world / "traces")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"Large/two ep 8, call 2 (iteration {moment.iteration}): hotness [3, 3, 8], deployment [3, 8, 2]",
        f"saved: {tmp_path / 'call.npz'}",
    ]
    with np.load(tmp_path / "call.npz") as saved:
        assert digest(saved["hotness"], saved["deployment"]) == digest(moment.hotness, moment.deployment)
        assert saved["iteration"] == moment.iteration


def test_again_gives_the_policy_the_state_it_had(world: Path, tmp_path: Path) -> None:
    policy = write_policy(tmp_path, RECORDS)
    first = replay(world, policy, "--again")
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.splitlines()[-1] == "answer: redeploy 2 of 2 layers (0, 1), 16 slots change"
    second = replay(world, policy, "--again", "--call", 2)
    assert second.stdout.splitlines()[-1] == "answer: keep the deployment"
    moment = kit.replay(policy, "Small/one:4", 2, world / "grid.yaml", world / "traces")
    assert f"saw 2 {moment.iteration} {digest(moment.hotness, moment.deployment)}" in second.stdout
    assert "note: " not in second.stdout


def test_again_gives_the_policy_its_modules_where_the_kit_has_the_same_names(world: Path, tmp_path: Path) -> None:
    files = {f"{name}.py": f"NAME = 'its {name}'\n" for name in ("traces", "scores", "commands")}
    source = "import commands, scores, traces\nprint(commands.NAME, scores.NAME, traces.NAME)\n" + DECLINES
    done = replay(world, write_policy(tmp_path, source, files), "--again")
    assert (done.returncode, done.stderr) == (0, "")
    assert "its commands its scores its traces" in done.stdout.splitlines()


def test_again_shows_an_exception_as_python_does(world: Path, tmp_path: Path) -> None:
    policy = write_policy(tmp_path, RECORDS)
    done = replay(world, policy, "--again", "--call", 3)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert f'File "{policy}/policy.py", line 14, in rebalance\n' in done.stderr
    assert done.stderr.endswith("ValueError: the third call\n")
    assert done.stdout.splitlines()[-1].endswith(
        "the policy raised the exception above. Next: correct the policy and repeat this command"
    )


def test_again_judges_the_answer(world: Path, tmp_path: Path) -> None:
    source = DECLINES.replace("False, None, None", "True, [0], [[[0] * 2] * n_device] * 2")
    done = replay(world, write_policy(tmp_path, source), "--again")
    assert (done.returncode, done.stderr) == (1, "")
    place = "Small/one ep 4, call 1 (iteration 4), layer 0"
    assert done.stdout.splitlines()[-1].startswith(f"{place}: an expert has no slot. Got: expert 1 is missing")


def test_a_policy_that_answers_otherwise_here_is_told(world: Path, tmp_path: Path) -> None:
    source = """
        import os
        def rebalance(hotness, n_device, n_red_expert):
            table = [[[0, 1]] * n_device] * 2
            table = [[[e % 4, (e + 1) % 4] for e in range(n_device)]] * 2
            return os.environ["HOME"].startswith("/home-of-a-test"), [0], table, None
    """
    policy = write_policy(tmp_path, source)
    command = [sys.executable, str(KIT), "replay", str(policy), "--again", "--call", "2", "--grid"]
    command += [str(world / "grid.yaml"), "--traces", str(world / "traces")]
    done = subprocess.run(command, env={"HOME": "/home-of-a-test"}, capture_output=True, text=True, check=False)
    assert (
        "note: at call 1 the policy answers differently here than in its own process: a random generator without a seed"
        in done.stdout
    )


def test_the_prompt_has_what_the_policy_saw(world: Path, tmp_path: Path) -> None:
    typed = "print(hotness.shape, deployment.shape, iteration, case.devices, policy(hotness, deployment, iteration))\n"
    done = replay(world, write_policy(tmp_path, "state = [7]\n" + DECLINES), text=typed + "print(instance.state)\n")
    assert done.returncode == 0
    assert "(3, 2, 4) (2, 4, 2) 4 4 None" in done.stdout and "[7]" in done.stdout
    assert (
        "Small/one ep 4, call 1 (iteration 4): hotness, deployment, iteration, case, policy, instance\n" in done.stderr
    )
    assert "\ninstance is the module policy.py: its variables are the state\n" in done.stderr


def test_the_prompt_has_the_policy_itself_with_the_state_it_had(world: Path, tmp_path: Path) -> None:
    typed = "print(type(instance).__name__, instance.calls, sorted(vars(instance)))\n"
    typed += "print(instance.rebalance(hotness.copy(), deployment.copy(), iteration), instance.calls)\n"
    done = replay(world, write_policy(tmp_path, RECORDS), "--call", 2, text=typed)
    assert "Policy 1 ['calls', 'case']\n" in done.stdout and "None 2\n" in done.stdout
    assert "\ninstance is the Policy object: vars(instance) is its state, " in done.stderr


def test_a_breakpoint_stops_the_call_that_is_called_again(world: Path, tmp_path: Path) -> None:
    source = DECLINES.replace("    return", "    breakpoint()\n    return")
    done = replay(world, write_policy(tmp_path, source), "--again", text="print('devices', n_device)\ncontinue\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert "devices 4\n" in done.stdout and done.stdout.endswith("answer: keep the deployment\n")


def test_the_first_call_needs_no_policy_that_starts(world: Path, tmp_path: Path) -> None:
    done = replay(
        world, write_policy(tmp_path, "number = int(input())\n1 / number\n" + DECLINES), "--again", text="0\n"
    )
    assert done.returncode == 1 and done.stderr.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            ["--call", 9],
            "Small/one ep 4: the case has fewer calls. Got: --call 9. Expected: 1 .. 3. Next: name one of them.",
        ),
        (["--call", 0], "--call is too small. Got: 0. Expected: at least 1. Next: correct --call."),
    ],
)
def test_a_call_that_is_not_there_is_named(world: Path, tmp_path: Path, options: list, text: str) -> None:
    done = replay(world, write_policy(tmp_path, DECLINES), *options)
    assert done.returncode == 2 and done.stderr.splitlines()[-1] == f"kit.py: error: {text}"


def test_what_cannot_be_saved_is_named_before_the_policy_is_run(world: Path, tmp_path: Path) -> None:
    policy = write_policy(tmp_path / "policy", "1 / 0\n")
    missing = tmp_path / "no" / "call.npz"
    for path, text in (
        (
            missing,
            f"the folder of --save is missing. Got: no {missing.parent}. Expected: a path in an existing folder. Next: "
            "make the folder.",
        ),
        (tmp_path, f"--save is a folder. Got: {tmp_path}. Expected: the name of a file. Next: correct --save."),
    ):
        done = replay(world, policy, "--save", path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.splitlines()[-1] == f"kit.py: error: {text}"


def test_a_policy_is_replayed_without_what_pack_leaves_out(world: Path, tmp_path: Path) -> None:
    source = """
        import os
        print(sorted(os.listdir()))
        def rebalance(hotness, n_device, n_red_expert):
            open("old.zip")
    """
    policy = write_policy(tmp_path, source, {"old.zip": ""})
    with pytest.raises(PolicyError, match="FileNotFoundError"):
        kit.replay(policy, "Small/one:4", 2, world / "grid.yaml", world / "traces")
    done = replay(world, policy, "--again")
    assert done.returncode == 1 and "['policy.py']\n" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("FileNotFoundError: ")


def test_an_earlier_call_that_fails_is_told(world: Path, tmp_path: Path) -> None:
    done = replay(world, write_policy(tmp_path, RECORDS), "--call", 4)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("Small/one ep 4, call 3 (iteration ")
    assert "Got: ValueError: the third call (policy.py, line 14, in rebalance)" in done.stdout
