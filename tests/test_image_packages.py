"""A policy for each package of the platform's image: what it ordinarily does works, or the failure names another way.

`make test-platform` has the packages in the image's versions; elsewhere those that are missing are skipped.
"""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path
from textwrap import indent

import pytest
import yaml

from docs import ROOT, blocks
from placement.evaluation.case_run import Outcome
from placement.isolation import landlock
from placement.isolation.instead import INSTEAD
from submissions import run_policy, sentence_of, write_policy

IMAGE = yaml.safe_load((ROOT / "starting_kit" / "commands" / "image_packages.yaml").read_text(encoding="utf-8"))
PACKAGES = {package["name"]: package for package in IMAGE["packages"]}
# Here only answers are tried, however busy the machine is.
PATIENCE = {"start_seconds": 900, "call_seconds": 900, "case_seconds": 900}
# matplotlib says this where looking for fonts takes it more than five seconds.
SLOW_FONTS = "Matplotlib is building the font cache; this may take a moment."

# By package: what stands above rebalance, what stands in it, and what it prints.
ORDINARY = {
    "numpy": ("import numpy as np", "print(abs(np.fft.fft(np.ones(4))).tolist())", "[4.0, 0.0, 0.0, 0.0]"),
    "scipy": (
        "from scipy import fft, optimize, stats",
        "columns = optimize.linear_sum_assignment([[1, 0], [0, 1]])[1]\n"
        "best = optimize.milp([1, 1], integrality=[1, 1], constraints=optimize.LinearConstraint([[1, 1]], 2))\n"
        "print(columns.tolist(), best.fun, fft.rfft([1.0, 1.0]).real.tolist(), stats.rankdata([3, 1]).tolist())",
        "[1, 0] 2.0 [2.0, 0.0] [2.0, 1.0]",
    ),
    "pandas": (
        "import pandas as pd",
        "frame = pd.DataFrame({'layer': [0, 0, 1], 'load': [1, 2, 4]})\n"
        "print(frame.groupby('layer')['load'].sum().tolist())",
        "[3, 4]",
    ),
    "scikit-learn": (
        "from sklearn.cluster import KMeans\nfrom sklearn.ensemble import RandomForestRegressor",
        "groups = KMeans(2, n_init=1, random_state=0).fit([[0.0], [1.0], [9.0], [10.0]])\n"
        "forest = RandomForestRegressor(2, n_jobs=2, random_state=0).fit([[0.0], [1.0]], [3.0, 3.0])\n"
        "print(sorted(groups.cluster_centers_.ravel().tolist()), forest.predict([[0.5]]).tolist())",
        "[0.5, 9.5] [3.0]",
    ),
    "numba": (
        "import numba\nimport numpy as np\n\n\n@numba.njit(cache=True)\ndef total(values):\n"
        "    result = 0\n    for n in numba.prange(len(values)):\n        result += values[n]\n    return result",
        "print(total(np.arange(4)), len(total.signatures))",
        "6 1",
    ),
    "llvmlite": ("from llvmlite import ir", "print(ir.IntType(8))", "i8"),
    "matplotlib": (
        "import os\nimport matplotlib.pyplot as plt",
        "path = os.path.join(os.environ['TMPDIR'], 'plot.png')\nplt.plot([1, 2])\nplt.savefig(path)\nplt.close()\n"
        "print(os.path.getsize(path) > 1000)",
        "True",
    ),
    "Cython": (
        "import cython\n\n\n@cython.cfunc\ndef double(value: cython.int) -> cython.int:\n    return 2 * value",
        "print(double(2))",
        "4",
    ),
    "threadpoolctl": (
        "import numpy as np\nfrom threadpoolctl import threadpool_info, threadpool_limits",
        "with threadpool_limits(1):\n    print({pool['num_threads'] for pool in threadpool_info()})",
        "{1}",
    ),
    "PyYAML": ("import yaml", "print(yaml.safe_load('layers: [1, 2]'))", "{'layers': [1, 2]}"),
    "joblib": (
        "import os\nfrom joblib import Memory, Parallel, delayed\n\n\n"
        "@Memory(os.environ['TMPDIR'], verbose=0).cache\ndef double(value):\n    return 2 * value",
        "print(Parallel(n_jobs=2)(delayed(double)(value) for value in (1, 2)))",
        "[2, 4]",
    ),
    "python-dateutil": ("from dateutil.parser import parse", "print(parse('2026-03-04').day)", "4"),
    "pytz": ("import pytz", "print(pytz.timezone('Asia/Tokyo'))", "Asia/Tokyo"),
    "tzdata": ("import tzdata", "print(tzdata.__name__)", "tzdata"),
    "pillow": ("from PIL import Image", "print(Image.new('L', (2, 2)).resize((4, 3)).size)", "(4, 3)"),
    "contourpy": (
        "from contourpy import contour_generator",
        "print(sorted(contour_generator(z=[[0.0, 1.0], [0.0, 1.0]]).lines(0.5)[0].tolist()))",
        "[[0.5, 0.0], [0.5, 1.0]]",
    ),
    "cycler": ("from cycler import cycler", "print(len(cycler(color='rgb')))", "3"),
    "fonttools": ("from fontTools.misc.fixedTools import otRound", "print(otRound(1.5))", "2"),
    "kiwisolver": ("import kiwisolver", "print(kiwisolver.Variable('x').name())", "x"),
    "packaging": ("from packaging.version import Version", "print(Version('1.26.4') < Version('2'))", "True"),
    "pyparsing": ("import pyparsing", "print(pyparsing.Word(pyparsing.nums).parse_string('12')[0])", "12"),
    "pip": ("import pip", "print(pip.__name__)", "pip"),
    "setuptools": ("import setuptools", "print(setuptools.__name__)", "setuptools"),
    "wheel": ("import wheel", "print(wheel.__name__)", "wheel"),
}
# What ordinarily works elsewhere and not in a policy: what stands above rebalance, what stands in it, files beside it,
# and the package whose next step is given.
CLOSED = {
    "psutil": ("import psutil", "psutil.Process().memory_info()", {}, "psutil"),
    "psutil of the machine": ("import psutil", "psutil.virtual_memory()", {}, "psutil"),
    "imutils": ("import imutils", "pass", {}, "imutils"),
    "Cython at import": (
        "import pyximport\n\npyximport.install()\nimport fast",
        "pass",
        {"fast.pyx": "cdef int one = 1\n"},
        "pyximport",
    ),
    "Cython inline": ("import cython", "cython.inline('return 1')", {}, "Cython"),
    "processes": (
        "from concurrent.futures import ProcessPoolExecutor",
        "list(ProcessPoolExecutor(2).map(abs, [-1]))",
        {},
        "multiprocessing",
    ),
    "a pool of threads": ("from multiprocessing.pool import ThreadPool", "ThreadPool(2)", {}, "multiprocessing"),
}


def skip_without(name: str) -> None:
    """Skip where a package of the image is not installed, and say so."""
    module = PACKAGES[name]["modules"][0]
    if find_spec(module) is None:
        pytest.skip(f"{name} is not installed here, so a policy that imports {module} was not tried")


def run(folder: Path, above: str, inside: str, files: dict[str, str]) -> Outcome:
    """The tiny grid's first case against a policy of these lines that keeps the deployment."""
    body = indent(f"{inside}\nreturn False, None, None, None\n", "    ")
    source = f"{above}\n\n\ndef rebalance(hotness, n_device, n_red_expert):\n{body}"
    return run_policy(write_policy(folder, source, files), seconds_left=1800, **PATIENCE)


def printed(outcome: Outcome) -> set[str]:
    """The different lines that an accepted policy printed, in all its calls."""
    assert outcome.row["status"] == "ok", f"{sentence_of(outcome.row)}\n{outcome.log}"
    return set(outcome.log.splitlines()) - {SLOW_FONTS}


@pytest.mark.parametrize("name", ORDINARY)
def test_a_package_does_its_ordinary_work_in_a_policy(name: str, tmp_path: Path) -> None:
    skip_without(name)
    above, inside, output = ORDINARY[name]
    assert printed(run(tmp_path, above, inside, {})) == {output}


@pytest.mark.skipif(sys.platform != "linux" or not landlock.version(), reason="elsewhere files are not closed")
@pytest.mark.parametrize("name", CLOSED)
def test_what_is_closed_to_a_package_has_another_way(name: str, tmp_path: Path) -> None:
    above, inside, files, package = CLOSED[name]
    if name.split()[0] in PACKAGES:
        skip_without(name.split()[0])
    outcome = run(tmp_path, above, inside, files)
    assert outcome.row["status"] == "crashed"
    assert sentence_of(outcome.row).endswith(f"Next: {INSTEAD[package]}."), sentence_of(outcome.row)


def test_a_policy_learns_of_itself_without_psutil(tmp_path: Path) -> None:
    above = (
        "import os\nimport time\n\n\ndef used():\n    with open('/proc/self/maps') as maps:\n"
        "        edges = [line.split()[0].split('-') for line in maps]\n"
        "    return sum(int(end, 16) - int(start, 16) for start, end in edges)\n"
    )
    inside = "print(time.process_time() > 0, used() > 2**20, len(os.sched_getaffinity(0)) > 0)"
    assert printed(run(tmp_path, above, inside, {})) == {"True True True"}


def test_numba_runs_a_loop_in_parallel(tmp_path: Path) -> None:
    skip_without("numba")
    above, inside, output = ORDINARY["numba"]
    # numba warns of a lock between processes that it could not make, and needs none.
    assert output in printed(run(tmp_path, above.replace("cache=True", "parallel=True"), inside, {}))


def test_numba_on_the_page_compiles_at_import_and_never_in_a_call(tmp_path: Path) -> None:
    skip_without("numba")
    (source,) = [block for block in blocks("pages/policy.md") if "import numba" in block]
    counting = (
        "class Policy(Policy):\n    def rebalance(self, *arguments):\n        answer = super().rebalance(*arguments)\n"
        "        print(len(par.signatures), answer is not None)\n        return answer\n"
    )
    outcome = run_policy(write_policy(tmp_path, f"{source}\n\n{counting}"), seconds_left=1800, **PATIENCE)
    assert "1 True" in printed(outcome) and printed(outcome) <= {"1 True", "1 False"}


def test_every_package_of_the_image_is_tried() -> None:
    assert ORDINARY.keys() | {name.split()[0] for name in CLOSED} & PACKAGES.keys() == PACKAGES.keys()


def test_the_page_has_every_package_with_its_version() -> None:
    section = (ROOT / "pages" / "policy.md").read_text(encoding="utf-8").partition("## Limits and packages")[2]
    section = re.sub(r"\s+", " ", section.partition("\n## ")[0])
    for name, package in PACKAGES.items():
        assert (name if package["version"] == "any" else f"{name} {package['version']}") in section, name
    assert f"`{IMAGE['image']}`: Python {IMAGE['python']} with" in section
