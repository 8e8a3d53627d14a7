"""The receipt: what measured what, the same for the same inputs wherever they lie."""

import hashlib
import os
import shutil

import pytest

from cases import grid_mapping
from placement import SIMULATOR_VERSION
from placement.grid import grid_from_mapping
from placement.submission.receipt import PACKAGE, grid_sha256, policy_sha256, receipt, receipt_line, simulator_sha256
from submissions import DECLINES, write_policy

GRID = grid_from_mapping(grid_mapping())


def changed_grid(**changes):
    return grid_sha256(grid_from_mapping(grid_mapping(**changes)))


@pytest.fixture
def policy(tmp_path):
    """A submission with a module and a table in a folder."""
    return write_policy(tmp_path / "policy", DECLINES, {"planner.py": "ONE = 1\n", "data/table.txt": "1 2 3\n"})


def test_a_receipt_names_version_sources_policy_and_grid(policy):
    entries = receipt(policy, GRID)
    assert entries == {
        "kit": SIMULATOR_VERSION,
        "simulator_sha256": simulator_sha256(),
        "policy_sha256": policy_sha256(policy),
        "grid": "tiny",
        "grid_sha256": grid_sha256(GRID),
    }
    hashes = [entries[name] for name in entries if name.endswith("sha256")]
    assert len(set(hashes)) == 3 and all(len(value) == 12 and int(value, 16) >= 0 for value in hashes)


def test_the_log_shows_it_in_one_line():
    entries = {"kit": "1.0.0", "simulator_sha256": "a" * 12, "policy_sha256": "b" * 12, "grid": "sample"}
    assert receipt_line(entries | {"grid_sha256": "c" * 12}) == (
        "receipt: kit 1.0.0, simulator aaaaaaaaaaaa, policy bbbbbbbbbbbb, grid sample cccccccccccc"
    )


# The simulator


def test_the_simulators_hash_is_that_of_names_and_contents_in_order_of_path(tmp_path):
    (tmp_path / "room").mkdir()
    for name, content in (("room/b.py", b"two\n"), ("a.py", b"one\n"), ("__init__.py", b""), ("room/.c.py", b"hidden")):
        (tmp_path / name).write_bytes(content)
    assert simulator_sha256(tmp_path) == hashlib.sha256(b"__init__.py\na.py\none\nroom/b.py\ntwo\n").hexdigest()[:12]


def test_a_copy_with_other_line_ends_and_compiled_files_is_the_same_simulator(tmp_path):
    copy = shutil.copytree(PACKAGE, tmp_path / "placement")
    for path in copy.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    (copy / "._replay.py").write_bytes(b"left by an archiver")
    (copy / "notes.txt").write_bytes(b"no source")
    assert simulator_sha256(copy) == simulator_sha256()
    module = copy / "evaluation" / "grid_run.py"
    module.write_bytes(module.read_bytes() + b"#")
    assert simulator_sha256(copy) != simulator_sha256()


# The policy


def test_the_policys_hash_is_that_of_paths_and_contents_in_order_of_path(policy):
    digests = {name: hashlib.sha256((policy / name).read_bytes()).hexdigest() for name in ("planner.py", "policy.py")}
    table = hashlib.sha256(b"1 2 3\n").hexdigest()
    text = f"data/table.txt\n{table}planner.py\n{digests['planner.py']}policy.py\n{digests['policy.py']}"
    assert policy_sha256(policy) == hashlib.sha256(text.encode()).hexdigest()[:12]


def test_a_policy_is_the_same_wherever_it_lies_and_whatever_systems_add(policy, tmp_path):
    before = policy_sha256(policy)
    copy = shutil.copytree(policy, tmp_path / "outer" / "inner")
    added = (
        "__MACOSX/._policy.py",
        ".DS_Store",
        "data/.DS_Store",
        "__pycache__/planner.cpython-312.pyc",
        ".venv/bin/python",
        ".git/HEAD",
    )
    for name in added:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text("added")
    assert policy_sha256(copy) == before


@pytest.mark.parametrize("name", ["policy.py", "data/table.txt", "data/new.txt", "weights.bin"])
def test_a_file_that_a_policy_can_see_changes_its_hash(policy, name):
    before = policy_sha256(policy)
    (policy / name).write_text("other")
    assert policy_sha256(policy) != before


def test_a_file_under_another_name_changes_the_hash(policy):
    before = policy_sha256(policy)
    (policy / "planner.py").rename(policy / "planning.py")
    assert policy_sha256(policy) != before


def test_links_count_as_what_they_lead_to(policy):
    shutil.copytree(policy / "data", policy / "more")
    (policy / "copy.py").write_bytes((policy / "planner.py").read_bytes())
    copied = policy_sha256(policy)
    (policy / "copy.py").unlink()
    (policy / "copy.py").symlink_to("planner.py")
    shutil.rmtree(policy / "more")
    (policy / "more").symlink_to("data")
    assert policy_sha256(policy) == copied


def test_names_that_are_no_text_are_hashed(policy):
    before = policy_sha256(policy)
    try:
        with open(os.fsencode(policy) + b"/\xff", "wb"):
            pass
    except OSError:
        pytest.skip("this file system takes no such name")
    assert policy_sha256(policy) != before


# The grid


@pytest.mark.parametrize(
    "changes",
    [
        {"window": 4},
        {"latency": 1},
        {"cost": grid_mapping()["cost"] | {"expert_bytes": 1}},
        {"cases": [{"model": "M", "dataset": "d", "ep": [2]}]},
        {"cases": [{"model": "M", "dataset": "e", "ep": [2, 4]}]},
        {"models": {"M": {"layers": 3, "experts": 4}}},
    ],
)
def test_what_a_grid_measures_changes_its_hash(changes):
    assert changed_grid(**changes) != grid_sha256(GRID)


def test_name_limits_and_isolation_of_a_grid_do_not_change_its_hash():
    limits = grid_mapping()["limits"] | {"call_seconds": 5}
    assert changed_grid(name="other", limits=limits, sandbox="required", hidden=True) == grid_sha256(GRID)


def test_the_same_costs_written_otherwise_are_the_same_grid():
    cost = grid_mapping()["cost"] | {"balanced_compute_seconds": 60, "bandwidth_bytes_per_second": 9e11}
    assert changed_grid(cost=cost) == grid_sha256(GRID)
