"""Puts the folders of all packages on the path, as the entry points do; says what runs on the platform, and when.

`make test` runs every file. `make test-platform` and `make test-newest` run a file unless ELSEWHERE names it.
"""

from __future__ import annotations

import gc
import os
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("ingestion_program", "scoring_program", "starting_kit", "tools", "tests/attacks")
sys.path[:0] = [str(ROOT / folder) for folder in FOLDERS]

# Each core has tests to run: in every program that is started, a second thread of numpy's would only turn in circles.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Hundreds of programs are started, most of them in copies of the tree: each compiles what none before it has kept.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# What does not run on the platform: the kit's commands but `run`, traces in the making, the lab, organizers' tools,
# documents, browsers; and the attacks, which are the kernel's matter.
ELSEWHERE = (
    *("test_kit_[!p]*.py", "test_kit_pack.py", "test_kit_profile.py", "test_typical_mistakes.py"),
    *("test_sweep*.py", "test_view*.py"),
    "test_foreign_packages.py",
    *("test_generat*.py", "test_profile.py", "test_calibration*.py", "test_convert_*.py"),
    *("test_trace_statistics_*.py", "test_trace_commands.py", "test_reference.py"),
    *("test_lab_*.py", "test_bundle*.py", "test_own_bundle.py", "test_benchmark.py", "test_container.py"),
    "test_mutants.py",
    *("test_architecture.py", "test_docs*.py", "test_pages.py", "test_tutorial.py", "test_page_browser.py"),
    *("test_attacks.py", "test_rehearse.py", "test_phase.py", "test_ranking.py", "test_by_heart.py"),
    *("test_store.py", "test_units.py", "test_leaderboard.py", "test_ablation.py", "test_streams.py"),
    *("test_studies.py", "test_hindsight.py", "test_environment.py", "test_rescore.py", "test_verify.py"),
)
# The longest files begin, so that none of them is left for one core alone at the end.
LONGEST = (
    *("test_attacks.py", "test_rehearse.py", "test_docs_guides.py", "test_own_bundle.py", "test_docs.py"),
    *("test_tutorial.py", "test_lab_catalogue.py", "test_kit_check.py", "test_leaderboard.py", "test_kit.py"),
    *("test_typical_mistakes.py", "test_bundle.py", "test_bundle_check.py", "test_sweep.py", "test_kit_pack.py"),
    *("test_foreign_packages.py", "test_isolation.py", "test_kit_replay.py", "test_lab_search_moves.py"),
    *("test_kit_compare.py", "test_deployed_sizes.py", "test_reference.py"),
)


def is_elsewhere(name: str) -> bool:
    """Whether a test file is left out on the platform."""
    return any(fnmatch(name, pattern) for pattern in ELSEWHERE)


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, as a test often waits for what it started."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs on the platform, and put the longest files first."""
    for item in items:
        if not is_elsewhere(item.path.name):
            item.add_marker(pytest.mark.platform)
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


def pytest_collection_finish() -> None:
    """Collected tests live to the end. Collections of garbage that looked through them took a tenth of the time."""
    gc.freeze()
