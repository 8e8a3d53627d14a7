"""`kit.py check`: whether a policy is accepted, what it uses of the limits, and how this machine differs."""

from __future__ import annotations

import platform
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

import kit
from commands import doubts, image
from commands.check import BOTH_FORMS, NONE_REDEPLOYED
from commands.machine import imported_modules, machine_line, missing_there, packages_line
from commands.made_up import Answer, first_difference, made_up_trace
from commands.places import kit_command
from kit_world import write_kit_world
from placement.balance import par
from placement.deployment import initial_deployment
from placement.grid import Case
from placement.isolation.missing_module import missing_module
from placement.isolation.process import PolicyProcess
from submissions import DECLINES, ROOT, grid_mapping, write_policy

KIT = ROOT / "starting_kit"
ACCEPTED = "accepted. " if doubts.is_platform_numpy() else "accepted here; not checked with the platform's numpy. "
GALLERY = sorted(path.parent for path in (KIT / "policies").glob("*/policy.py"))
# Only Linux tells.
MEMORY = r", memory \d+ of 4096 MiB" if sys.platform == "linux" else ""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of two cases."""
    return write_kit_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def check(world: Path, capsys: pytest.CaptureFixture[str]):
    """`kit.py check` on the grid: the exit code and the lines printed."""

    def run(policy: Path) -> tuple[int, list[str]]:
        code = kit.main(["check", str(policy), "--grid", str(world / "grid.yaml")])
        return code, capsys.readouterr().out.splitlines()

    return run


def test_the_template_is_accepted_and_check_names_the_next_step(check) -> None:
    code, (first, second, machine, packages, last) = check(KIT)
    line = (
        rf"{{}}: class form, 1 of 2 calls redeployed, start \d+\.\d\d of 30 s, slowest call \d+\.\d\d of 30 s{MEMORY}"
    )
    assert re.fullmatch(line.format("Small ep 4"), first) and re.fullmatch(line.format("Large ep 8"), second)
    assert last.removeprefix(ACCEPTED).startswith(f"Next: {kit_command('run', 'starting_kit')}")
    assert machine.startswith("machine: ") and packages.startswith("packages: Python ")
    assert code == 0


@pytest.mark.parametrize("folder", GALLERY, ids=lambda folder: folder.name)
def test_a_policy_of_the_gallery_is_accepted(tmp_path: Path, capsys, folder: Path) -> None:
    cases = [{"model": "Large", "dataset": "two", "ep": [8]}]
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid_mapping() | {"cases": cases}))
    assert kit.main(["check", str(folder), "--grid", str(tmp_path / "grid.yaml")]) == 0
    first, *between, last = capsys.readouterr().out.splitlines()
    form = "class" if "class Policy" in (folder / "policy.py").read_text() else "function"
    redeployed = re.match(rf"Large ep 8: {form} form, (\d) of 2 calls redeployed, start ", first)
    assert (redeployed[1] == "0") == (NONE_REDEPLOYED in between) == (folder.name == "static")
    assert last.startswith(f"{ACCEPTED}Next: {kit_command('run')} ") and folder.name in last


MEND = "Expected: an answer. Next: correct the line named above and try again."


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
            "Small ep 4: function form, 0 of 2 calls redeployed, ",
            "Large ep 8, call 1 (iteration 4): deployment_table is not made of integers. Got: None. ",
        ),
        (
            "1 +\n",
            "Small ep 4: crashed",
            "Small ep 4, start: the policy cannot be loaded. Got: SyntaxError: invalid syntax (policy.py, line 1). "
            + MEND.replace("an answer", "what Python {}.{} can read".format(*sys.version_info)),
        ),
    ],
)
def test_check_says_why_a_policy_is_not_accepted(check, tmp_path: Path, source: str, first: str, last: str) -> None:
    code, lines = check(write_policy(tmp_path, source))
    assert code == 1
    assert lines[0].startswith(first) and lines[-1].startswith(f"not accepted: {last}")


def test_check_tries_the_smallest_and_the_largest_ep_of_each_model(world: Path, tmp_path: Path, capsys) -> None:
    cases = [{"model": "Large", "dataset": "two", "ep": [4, 2, 8]}, {"model": "Small", "dataset": "one", "ep": [2]}]
    grid = tmp_path / "grid.yaml"
    grid.write_text(yaml.safe_dump(grid_mapping() | {"cases": cases}))
    assert kit.main(["check", str(KIT), "--grid", str(grid)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:-3]] == ["Large ep 2", "Large ep 8", "Small ep 2"]


def in_grid(folder: Path, cases: list[dict]) -> Path:
    """A grid file of the tiny grid's models with other cases."""
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump(grid_mapping() | {"cases": cases}))
    return path


def test_cases_are_tried_by_their_names_also_by_odd_ones(tmp_path: Path, capsys) -> None:
    odd, other = {"model": "Small", "dataset": "my data: two"}, {"model": "Large", "dataset": "d"}
    grid = in_grid(tmp_path, [odd | {"ep": [2, 4]}, other | {"ep": [2, 4, 8]}])
    names = ("--case", "Small/my data: two:4", "--case", "Large/d ep 4")
    assert kit.main(["check", str(KIT), "--grid", str(grid), *names]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:-3]] == ["Small ep 4", "Large ep 4"]


def test_a_case_that_the_grid_does_not_have_is_refused(world: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        kit.main(["check", str(KIT), "--grid", str(world / "grid.yaml"), "--case", "Small/one:2"])
    last = capsys.readouterr().err.splitlines()[-1]
    text = "the grid tiny has no such case. Got: Small/one:2. Expected: one of Small/one:4, Large/two:8. "
    assert last.startswith(
        f"kit.py: error: {text}Next: correct --case; for other sizes, name your own grid file with --grid:"
    )


@pytest.mark.parametrize(("ep", "least", "most"), [(32, 1.4, 2.2), (256, 3.5, 7.0)])
def test_the_made_up_hotness_is_as_skewed_as_recorded_one(ep: int, least: float, most: float) -> None:
    # Recorded traces of this model: 1.6 at ep 32 and 5 at ep 256 without a redeployment.
    case = Case("M", "d", ep, ep, layers=6, experts=256, window=8, latency=0)
    trace, table = made_up_trace(case), initial_deployment(6, 256, ep, ep)
    found = np.mean([par(trace.expert_major[layer], trace.totals[layer], table[layer]) for layer in range(6)])
    assert least < found < most


def test_the_made_up_hotness_changes_after_the_first_call() -> None:
    case = Case("M", "d", 4, 4, layers=1, experts=64, window=200, latency=0)
    trace = made_up_trace(case)
    first, second = trace.window(1, 201).mean(axis=0), trace.window(201, 401).mean(axis=0)
    assert trace.iterations == 2 * 200 + 1 + 2
    assert np.corrcoef(first[0], second[0])[0, 1] < 0.5
    # Within a window it lasts.
    assert np.corrcoef(first[0], trace.window(1, 100).mean(axis=0)[0])[0, 1] > 0.99


def test_a_policy_that_never_redeploys_is_accepted_with_a_warning(check, tmp_path: Path) -> None:
    code, (first, *_, warning, last) = check(write_policy(tmp_path, DECLINES))
    assert code == 0 and last.startswith(ACCEPTED)
    assert first.startswith("Small ep 4: function form, 0 of 2 calls redeployed, ")
    assert warning == (
        "warning: the policy redeployed at no call, so no table was checked. Next: if the policy should redeploy, "
        "find the reason with kit.py replay"
    )
    assert NONE_REDEPLOYED not in check(KIT)[1]


def test_a_policy_that_answers_otherwise_in_another_process_is_told_where(tmp_path: Path, capsys) -> None:
    source = """
        import os
        import numpy as np

        class Policy:
            def __init__(self, case):
                self.random, self.calls = np.random.default_rng(int.from_bytes(os.urandom(8), "big")), 0

            def rebalance(self, hotness, deployment, iteration):
                self.calls += 1
                table = deployment[:, ::-1].copy()
                if self.calls == 2:
                    table[1] = table[1, self.random.permutation(8)]
                return [0, 1], table
    """
    grid = in_grid(tmp_path, [{"model": "Large", "dataset": "two", "ep": [8]}])
    assert kit.main(["check", str(write_policy(tmp_path / "policy", source)), "--grid", str(grid)]) == 0
    *_, warning, last = capsys.readouterr().out.splitlines()
    assert last.startswith(ACCEPTED)
    assert re.fullmatch(
        r"warning: Large ep 8, call 2 \(iteration \d+\), layer 1: the policy gives different answers when it runs "
        r"again\. Got: a different expert in \d+ of 16 slots. Expected: the same answers in every run. Next: seed the "
        r"random "
        r"generators, sort with kind='stable', and do not use the clock or the order of threads.",
        warning,
    )


LAYERS, TABLE = np.array([1, 0]), np.zeros((3, 2, 2), np.int64)
ELSEWHERE = TABLE + np.array([0, 0, 5]).reshape(3, 1, 1)


@pytest.mark.parametrize(
    ("other", "where", "got"),
    [
        (None, "call 2 (iteration 8)", "one run redeploys, the other run keeps the deployment"),
        ((LAYERS[::-1], TABLE), "call 2 (iteration 8)", "layers_priority [1, 0] and [0, 1]"),
        ((np.arange(9), TABLE), "call 2 (iteration 8)", "layers_priority [1, 0] and [0, 1, 2, 3, 4, ...]"),
        ((LAYERS, TABLE + 1), "call 2 (iteration 8), layer 1", "a different expert in 4 of 4 slots"),
    ],
)
def test_the_first_difference_of_two_runs_is_found(other: object, where: str, got: str) -> None:
    one = [Answer(4, None), Answer(8, (LAYERS, TABLE)), Answer(12, None)]
    two = [Answer(4, None), Answer(8, other), Answer(12, (LAYERS, TABLE))]
    for pair in ((one, two), (one[:2], two)):
        fields = first_difference(*pair).fields()
        assert (fields["where"], fields["got"]) == (where, got)


def test_rows_that_no_layer_lists_are_no_difference() -> None:
    assert first_difference([Answer(4, (LAYERS, TABLE))], [Answer(4, (LAYERS, ELSEWHERE))]) is None
    assert first_difference([Answer(4, None)], [Answer(4, None)]) is None


def test_a_second_run_that_fails_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    good, bad = write_policy(tmp_path / "good", DECLINES), write_policy(tmp_path / "bad", "1 / 0\n")
    folders = [bad, good]

    class Process(PolicyProcess):
        def __init__(self, folder: Path, *rest: object) -> None:
            super().__init__(folders.pop(), *rest)

    monkeypatch.setattr("commands.check.PolicyProcess", Process)
    grid = in_grid(tmp_path, [{"model": "Small", "dataset": "one", "ep": [4]}])
    assert kit.main(["check", str(good), "--grid", str(grid)]) == 1
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("not accepted: Small ep 4, second run, start: the policy raised an exception. ")


def test_which_of_both_forms_is_taken_is_said(check, tmp_path: Path) -> None:
    both = "class Policy:\n    def __init__(self, case): pass\n    def rebalance(self, h, d, i): return None\n"
    code, lines = check(write_policy(tmp_path, both + DECLINES))
    assert code == 0 and lines[0] == BOTH_FORMS
    assert lines[1].startswith("Small ep 4: function form, ")
    assert BOTH_FORMS not in check(KIT)[1]


def test_the_very_zip_is_checked(check, tmp_path: Path) -> None:
    path = tmp_path / "mine.zip"
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("outer/policy.py", DECLINES)
    code, (note, *_, last) = check(path)
    assert code == 0 and last.startswith(f"{ACCEPTED}Next: {kit_command('run', path)}")
    assert note.startswith("note: policy.py was found in the folder outer/; ")


def test_a_block_that_a_zip_lacks_is_missed(check, tmp_path: Path) -> None:
    source = "from planning.packing import heaviest_first\n" + DECLINES
    path = tmp_path / "mine.zip"
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("policy.py", source)
    assert check(write_policy(tmp_path / "folder", source))[0] == 0
    code, (*_, last) = check(path)
    assert code == 1 and "Got: ModuleNotFoundError: No module named 'planning' " in last
    assert last.endswith(
        "Next: make the zip with kit.py pack, which adds the modules of planning that a policy imports."
    )


def test_a_zip_that_cannot_be_read_is_refused(tmp_path: Path, capsys) -> None:
    path = tmp_path / "mine.zip"
    path.write_bytes(b"PK")
    for command in ("check", "run", "replay", "profile"):
        with pytest.raises(SystemExit) as ended:
            kit.main([command, str(path)])
        assert ended.value.code == 2
        assert capsys.readouterr().err.splitlines()[-1] == (
            f"kit.py: error: the zip cannot be read. Got: {path}: File is not a zip file. Expected: a zip without a "
            "password, as kit.py pack makes. Next: make the zip with kit.py pack."
        )


def test_a_grid_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.yaml").write_text("name: [")
    assert kit.main(["check", str(KIT), "--grid", str(tmp_path / "bad.yaml")]) == 1
    assert capsys.readouterr().out.startswith("not accepted: grid: the grid cannot be read. Got: ParserError: ")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_memory_is_the_most_that_a_policy_held(check, tmp_path: Path) -> None:
    source = "import numpy as np\nnp.zeros(2**28, np.uint8)\n" + DECLINES
    _, (line, *_) = check(write_policy(tmp_path, source))
    assert 256 < int(re.search(r"memory (\d+) of 4096 MiB", line)[1]) < 1024


def test_a_module_that_the_platform_lacks_is_named_in_the_verdict(check, tmp_path: Path) -> None:
    source = "try:\n    import torch\nexcept ImportError:\n    torch = None\n" + DECLINES
    code, (*_, packages, _, last) = check(write_policy(tmp_path, source))
    assert code == 0 and packages.endswith("; not on the platform: torch")
    assert last == "accepted here, but the platform has no torch. Next: use numpy instead of torch"


LATER = "accepted here; not checked with the platform's numpy"
NEWER = "np.bitwise_count (numpy 2.0; policy.py, line 4)"
OLDER = "use what Python 3.12 and numpy 1.26.4 have"


def test_another_numpy_than_the_platform_s_is_said_in_the_verdict(check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doubts, "is_platform_numpy", lambda: False)
    step = f"{kit_command('run', 'starting_kit')}; `make run PYTHON=python3.12` installs the platform's versions"
    assert check(KIT)[1][-1] == f"{LATER}. Next: {step}"


@pytest.mark.parametrize(("platform_s", "head"), [(True, "accepted here"), (False, LATER)])
def test_what_is_newer_than_the_platform_is_named_with_either_numpy(
    check, tmp_path: Path, monkeypatch, platform_s: bool, head: str
) -> None:
    monkeypatch.setattr(doubts, "is_platform_numpy", lambda: platform_s)
    source = "import numpy as np\ndef unused(x):\n    # In no call that check makes.\n    return np.bitwise_count(x)\n"
    code, (*lines, last) = check(write_policy(tmp_path, source + DECLINES))
    assert code == 0 and f"newer than the platform: {NEWER}" in lines
    assert last == f"{head}, but the platform lacks {NEWER}. Next: {OLDER}"


def test_a_call_of_what_is_newer_is_named_with_either_numpy(check, tmp_path: Path) -> None:
    called = DECLINES.replace("return", "np.bitwise_count(1); return")
    code, lines = check(write_policy(tmp_path, "import numpy as np\n\n" + called))
    assert f"newer than the platform: {NEWER}" in lines
    if hasattr(np, "bitwise_count"):
        assert code == 0 and lines[-1] == f"{LATER}, but the platform lacks {NEWER}. Next: {OLDER}"
    else:
        assert code == 1 and lines[-1].endswith(
            "Got: AttributeError: module 'numpy' has no attribute 'bitwise_count' (policy.py, line 4, in rebalance). "
            "Expected: an answer. Next: correct the name, or use a name of the platform's numpy 1.26.4; kit.py check "
            "lists names that are newer."
        )


@pytest.mark.parametrize(
    ("module", "step"),
    [
        ("numba", ".venv/bin/python -m pip install numba==0.61.2 (the platform has it)"),
        ("joblib", ".venv/bin/python -m pip install scikit-learn==1.5.1 (the platform has it)"),
        ("llvmlite", ".venv/bin/python -m pip install numba==0.61.2 (the platform has it)"),
        ("torch", "the platform has no torch: use numpy instead of torch"),
        ("ortools", "the platform has no ortools: use scipy.optimize.milp or scipy.optimize.linear_sum_assignment"),
        (
            "eplb",
            "the platform has no eplb: add eplb to the submission as a module beside policy.py if it is pure Python",
        ),
    ],
)
def test_a_module_that_is_missing_here_has_a_way(module: str, step: str) -> None:
    assert missing_module(module).startswith(step)
    assert missing_there([module]) == ([module] if "no" in step.split() else [])


def test_what_comes_with_a_package_of_the_platform_is_there() -> None:
    assert missing_there(["joblib", "llvmlite", "dateutil", "PIL", "pkg_resources"]) == []


def test_a_package_that_is_missing_here_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "version", lambda name: "1.0" if name in ("numpy", "joblib") else absent())
    line = packages_line(["numba", "joblib", "pytz"]).partition("), ")[2]
    assert line == (
        "numpy 1.0 (platform 1.26.4), numba not installed (platform 0.61.2: .venv/bin/python -m pip install "
        "numba==0.61.2), joblib 1.0 (platform), pytz not installed (platform: .venv/bin/python -m pip install "
        "pandas==2.2.3)"
    )


def absent() -> str:
    raise image.PackageNotFoundError


def test_the_template_may_not_import_the_kit(check, tmp_path: Path) -> None:
    code, (*_, last) = check(write_policy(tmp_path, "import commands\n" + DECLINES))
    assert code == 1 and "ModuleNotFoundError: No module named 'commands'" in last


def test_imports_are_found_in_every_file_of_a_submission(tmp_path: Path) -> None:
    source = "import os.path, numpy as np\nfrom scipy.optimize import linprog\nfrom . import x\nimport mine\n"
    parts = {"mine/part.py": "def f():\n    import yaml\n", "broken.py": "1 +\n", "data.txt": "import torch\n"}
    folder = write_policy(tmp_path, source, parts)
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert imported_modules(files) == ["numpy", "os", "scipy", "yaml"]
    assert missing_there(["numpy", "os", "scipy", "yaml", "sklearn", "placement", "torch", "numexpr"]) == [
        "numexpr",
        "torch",
    ]


def test_packages_are_compared_with_the_platform_s() -> None:
    here = f"packages: Python {platform.python_version()} (platform 3.12), numpy {np.__version__} (platform 1.26.4)"
    assert packages_line([]) == packages_line(["os", "numpy"]) == here
    assert packages_line(["yaml", "torch"]).startswith(f"{here}, PyYAML 6.")
    assert packages_line(["yaml", "torch"]).endswith(" (platform 6.0.2); not on the platform: torch")


def test_missing_isolation_is_said() -> None:
    line = machine_line(["limits", "capabilities", "calls"])
    assert (
        line.startswith("machine: ")
        and " cores, isolated by limits, capabilities, calls; not isolated by files as " in line
    )
    assert (
        machine_line([])
        .partition("isolated by ")[2]
        .startswith("nothing; not isolated by limits, capabilities, files, calls")
    )
    assert "not by" not in machine_line(["limits", "capabilities", "files", "calls"])


def test_the_lines_of_an_adapter_are_shown_once_below_their_sentence(world: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "policy.py").write_text(
        "def rebalance_experts(weight, num_replicas, num_groups, num_nodes, num_gpus):\n    return None\n"
    )
    assert kit.main(["check", str(tmp_path), "--grid", str(world / "grid.yaml"), "--case", "Small/one:4"]) == 1
    told = capsys.readouterr().out
    assert told.endswith(
        "policy.py defines no policy. Got: rebalance_experts, a balancer in the form of DeepSeek's EPLB. Expected:"
        " rebalance(hotness, n_device, n_red_expert), or class Policy with __init__(self, case) and rebalance(self,"
        " hotness, deployment, iteration). Next: name this file balancer.py, and write these three lines into a"
        " new policy.py beside it; kit.py pack and kit.py run add the adapter.\n  from adapters.deepseek import"
        " policy_of\n  from balancer import rebalance_experts\n  Policy = policy_of(rebalance_experts)\n"
    )
    assert told.count("policy_of(rebalance_experts)") == 1
