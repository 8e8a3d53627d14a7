"""The arrows between the rooms: who imports from whom, who knows arrays only, and who edits the path."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# The folders that are put on the path, so that a name is one of their modules or a foreign one.
FOLDERS = ("ingestion_program", "scoring_program", "starting_kit", "tools", "tests/attacks", "tests")
RULES, SCORES, KIT, LAB = "ingestion_program/placement", "scoring_program/scores", "starting_kit", "starting_kit/lab"
PARTS = tuple(f"{RULES}/{name}" for name in ("isolation", "traces", "submission"))
PLACEMENT = (RULES, *PARTS, f"{RULES}/evaluation")
TRACES = tuple(
    f"{KIT}/traces{name}" for name in ("", "/calibration", "/composition", "/conversion", "/generation", "/statistics")
)
LAB_ROOMS = tuple(
    f"{LAB}/{name}"
    for name in ("commands", "experiments", "online", "oracle", "search", "planning", "serving", "traces")
)
COMMANDS = f"{KIT}/commands"
TOOLS = tuple(
    f"tools/{name}" for name in ("bundling", "benchmarking", "judging", "rehearsal", "rescoring", "verification")
)
# Each room, and the rooms beside itself that it may import from.
ARROWS = {
    RULES: (),
    **dict.fromkeys(PARTS, (RULES,)),
    f"{RULES}/evaluation": (RULES, *PARTS),
    "ingestion_program": PLACEMENT,
    SCORES: (),
    f"{SCORES}/page": (SCORES,),
    "scoring_program": (SCORES, f"{SCORES}/page"),
    f"{KIT}/planning": (RULES,),
    f"{KIT}/policies": (RULES, f"{KIT}/planning"),
    # A policy is called in an engine as its process calls it.
    f"{KIT}/adapters": (RULES, PARTS[0], f"{KIT}/planning"),
    f"{KIT}/traces": PLACEMENT,
    f"{KIT}/traces/generation": PLACEMENT,
    f"{KIT}/traces/calibration": (*PLACEMENT, SCORES, f"{KIT}/traces", f"{KIT}/traces/generation"),
    f"{KIT}/traces/composition": (*PLACEMENT, f"{KIT}/traces/conversion"),
    f"{KIT}/traces/conversion": (*PLACEMENT, f"{KIT}/traces"),
    f"{KIT}/traces/statistics": (*PLACEMENT, SCORES, f"{KIT}/traces"),
    # DeepSeek's maps are a file there and an answer here.
    f"{KIT}/deployments": (RULES, f"{RULES}/traces", f"{KIT}/adapters"),
    COMMANDS: (*PLACEMENT, SCORES, f"{KIT}/deployments", f"{KIT}/sweeps", f"{KIT}/viewer", *TRACES),
    f"{KIT}/sweeps": (*PLACEMENT, SCORES, f"{KIT}/traces"),
    f"{KIT}/viewer": (RULES,),
    KIT: (*PLACEMENT, SCORES, COMMANDS, *TRACES),
    LAB: (*PLACEMENT, f"{LAB}/commands"),
    **{room: (*PLACEMENT, *TRACES, f"{KIT}/planning", *LAB_ROOMS[n + 1 :]) for n, room in enumerate(LAB_ROOMS)},
    LAB_ROOMS[0]: (
        *PLACEMENT,
        SCORES,
        f"{KIT}/deployments",
        f"{KIT}/traces",
        f"{LAB}/imbalance",
        f"{LAB}/gating",
        *LAB_ROOMS[1:],
    ),
    LAB_ROOMS[1]: (*PLACEMENT, *TRACES, f"{KIT}/planning", f"{LAB}/gating", *LAB_ROOMS[2:]),
    f"{LAB}/gating": (RULES, f"{LAB}/traces"),
    f"{LAB}/imbalance": (RULES,),
    "tools/bundling": (*PLACEMENT, SCORES, COMMANDS, *TRACES),
    "tools/benchmarking": (*PLACEMENT, SCORES, f"{KIT}/traces"),
    "tools/judging": (*PLACEMENT, SCORES, COMMANDS, f"{KIT}/planning", *TRACES),
    "tools/rescoring": (*PLACEMENT, SCORES, f"{KIT}/traces"),
    "tools/verification": (*PLACEMENT, SCORES, COMMANDS, f"{KIT}/traces", "tools/rehearsal"),
    # Policies, made ready beside the champion whose planner they use.
    "tools/judging/studies": (f"{KIT}/planning", f"{KIT}/policies"),
    "tools/rehearsal": (*PLACEMENT, SCORES, COMMANDS, *TRACES, "tools", "tools/bundling"),
    "tools": (*PLACEMENT, SCORES, COMMANDS, *TRACES, *TOOLS),
}
ARRAYS_ONLY = {
    "__future__",
    "bisect",
    "collections",
    "collections.abc",
    "dataclasses",
    "hashlib",
    "heapq",
    "itertools",
    "math",
    "numpy",
    "typing",
    "weakref",
}
FILE_ACCESS = {"open", "load", "save", "savez", "savez_compressed", "memmap", "fromfile", "tofile", "loadtxt"}
# A policy's process finds its modules by an edit of its own, and a text that a container runs has one more.
INSIDE = {f"{RULES}/isolation/interface.py"}
TEXTS = {f"{RULES}/isolation/template.py", f"{KIT}/sweeps/job.py", "tools/rehearse.py"}
# Imports nothing but the standard library, as the first process of a container.
PROCESS_1 = "tools/rehearsal/container.py"
EDITING = {"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"}


@cache
def read_tree(root: Path) -> dict[str, ast.Module]:
    """The parsed modules of all folders, by path from the top; of tests, the paths alone."""
    paths = sorted({path for folder in FOLDERS for path in (root / folder).rglob("*.py")})
    names = {path.relative_to(root).as_posix(): path for path in paths}
    return {name: ast.parse(b"" if name.startswith("tests/") else path.read_bytes()) for name, path in names.items()}


@pytest.fixture(scope="module", autouse=True)
def forgotten_trees() -> Iterator[None]:
    """Drops half a million nodes, which every later collection of garbage would look through."""
    yield
    read_tree.cache_clear()
    is_run.cache_clear()


def room_of(path: str) -> str:
    folder = path.rpartition("/")[0]
    return f"{KIT}/policies" if folder.startswith(f"{KIT}/policies/") else folder


def module_path(name: str, paths: dict[str, ast.Module]) -> str | None:
    """The file of an absolute module name; None for a foreign one."""
    place = name.replace(".", "/")
    files = (f"{folder}/{place}{end}" for folder in FOLDERS for end in (".py", "/__init__.py"))
    return next((file for file in files if file in paths), None)


def imported_names(path: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Absolute names of what a module imports: the module's, and one that may be a module's or something in it."""
    folder = next(folder for folder in FOLDERS if path.startswith(f"{folder}/"))
    package = path.removeprefix(f"{folder}/").split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((module, f"{module}.{alias.name}") for alias in node.names)


def import_faults(tree: dict[str, ast.Module]) -> Iterator[str]:
    graph: dict[str, set[str]] = {}
    for path, module in tree.items():
        if path.startswith("tests/"):
            continue
        room = room_of(path)
        if room not in ARROWS:
            yield f"{path} lies in no room"
            continue
        allowed = {room, *ARROWS[room]}
        for name, member in imported_names(path, module):
            other = module_path(member, tree) or module_path(name, tree)
            if other is None:
                if room == RULES and name not in ARRAYS_ONLY:
                    yield f"{path} imports {name}"
                continue
            graph.setdefault(path, set()).add(other)
            if room_of(other) not in allowed or is_run(other, tree[other]):
                yield f"{path} imports {other}"
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        yield f"a circle: {' -> '.join(error.args[1])}"


def file_faults(tree: dict[str, ast.Module]) -> Iterator[str]:
    """The rules get arrays; they read and write no file."""
    for path, module in tree.items():
        if room_of(path) != RULES:
            continue
        calls = [node.func for node in ast.walk(module) if isinstance(node, ast.Call)]
        names = {getattr(function, "id", getattr(function, "attr", None)) for function in calls}
        if names & FILE_ACCESS:
            yield f"{path} calls {', '.join(sorted(names & FILE_ACCESS))}"


def path_faults(tree: dict[str, ast.Module]) -> Iterator[str]:
    for path, module in tree.items():
        if path.startswith("tests/"):
            continue
        nodes = list(ast.walk(module))
        edits, expected = sum(map(edits_path, nodes)), is_run(path, module) or path in INSIDE
        if edits != expected:
            yield f"{path} edits the path {edits} times instead of {int(expected)}"
        texts = [node.value for node in nodes if isinstance(node, ast.Constant)]
        if path not in TEXTS and any("sys.path" in str(text) for text in texts):
            yield f"{path} has a text with sys.path"


@cache
def is_run(path: str, module: ast.Module) -> bool:
    """Whether a module is an entry point."""
    return path != PROCESS_1 and any(
        isinstance(node, ast.If) and "__name__" in ast.unparse(node.test) for node in module.body
    )


def edits_path(node: ast.AST) -> bool:
    """Whether a node assigns to sys.path or a part of it, deletes from it, calls what changes it, or imports it."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "sys" and any(alias.name == "path" for alias in node.names)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in EDITING and ast.unparse(node.func.value) == "sys.path"
    changed = isinstance(getattr(node, "ctx", None), ast.Store | ast.Del)
    return changed and ast.unparse(node).partition("[")[0] == "sys.path"


def faults(root: Path) -> list[str]:
    tree = read_tree(root)
    return list(dict.fromkeys([*import_faults(tree), *file_faults(tree), *path_faults(tree)]))


def test_the_rooms_keep_to_their_arrows() -> None:
    assert faults(ROOT) == []


def test_every_room_and_every_exception_is_there() -> None:
    tree = read_tree(ROOT)
    assert set(ARROWS) == {room_of(path) for path in tree if not path.startswith("tests/")}
    assert {*INSIDE, *TEXTS} < set(tree)


GOOD = {
    "ingestion_program/ingestion.py": "import sys\nsys.path[:0] = []\nif __name__ == '__main__':\n    pass\n",
    f"{RULES}/__init__.py": "",
    f"{RULES}/grid.py": "import math\n",
    f"{RULES}/evaluation/clock.py": "from .. import grid\n",
    f"{RULES}/traces/files.py": "from ..grid import Grid\n",
    f"{SCORES}/page/report.py": "from ..comparison import Row\n",
    f"{SCORES}/comparison.py": "Row = dict\n",
    f"{KIT}/traces/manifest.py": "from placement.grid import Grid\n",
    f"{LAB}/serving/cost.py": "from ..traces.batches import Batch\n",
    f"{LAB}/traces/batches.py": "from traces.manifest import MANIFEST\n",
    "tools/bundling/check.py": "from traces import manifest\n",
    "tests/cases.py": "from bundling.check import check\n",
}
CIRCLE = f"a circle: {RULES}/grid.py -> {RULES}/results.py -> {RULES}/grid.py"
BAD = [
    (f"{RULES}/grid.py", "from .traces.files import x\n", "imports ingestion_program/placement/traces/files.py"),
    (f"{RULES}/grid.py", "def f():\n    import os\n", "imports os"),
    (f"{RULES}/grid.py", "text = open('grid.yaml')\n", "calls open"),
    (f"{RULES}/grid.py", "import numpy as np\nnp.save('a', 1)\n", "calls save"),
    (f"{RULES}/traces/files.py", "from ..evaluation import clock\n", f"imports {RULES}/evaluation/clock.py"),
    (f"{RULES}/evaluation/clock.py", "import scores.comparison\n", f"imports {SCORES}/comparison.py"),
    (f"{RULES}/evaluation/clock.py", "import ingestion\n", "imports ingestion_program/ingestion.py"),
    (f"{SCORES}/comparison.py", "from .page.report import x\n", f"imports {SCORES}/page/report.py"),
    (f"{SCORES}/page/report.py", "from placement.grid import x\n", f"imports {RULES}/grid.py"),
    (f"{KIT}/traces/manifest.py", "from bundling import check\n", "imports tools/bundling/check.py"),
    (f"{LAB}/traces/batches.py", "from ..serving.cost import x\n", f"imports {LAB}/serving/cost.py"),
    ("tools/bundling/check.py", "import cases\n", "imports tests/cases.py"),
    ("tools/helpers/check.py", "", "lies in no room"),
    ("ingestion_program/ingestion.py", "if __name__ == '__main__':\n    pass\n", "edits the path 0 times instead of 1"),
    ("tools/bundling/check.py", "import sys\nsys.path += ['a']\n", "edits the path 1 times instead of 0"),
    ("tools/bundling/check.py", "import sys\nsys.path.insert(0, 'a')\n", "edits the path 1 times instead of 0"),
    ("tools/bundling/check.py", "import sys\ndel sys.path[0]\n", "edits the path 1 times instead of 0"),
    ("tools/bundling/check.py", "from sys import path\n", "edits the path 1 times instead of 0"),
    ("tools/bundling/check.py", "text = 'import sys; sys.path[:] = []'\n", "has a text with sys.path"),
]


def write_tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def test_a_small_tree_with_the_same_rooms_has_no_fault(tmp_path: Path) -> None:
    assert faults(write_tree(tmp_path, GOOD)) == []


@pytest.mark.parametrize(("path", "text", "fault"), BAD)
def test_each_broken_rule_is_caught(tmp_path: Path, path: str, text: str, fault: str) -> None:
    broken = faults(write_tree(tmp_path, {**GOOD, path: text}))
    assert [line for line in broken if not line.startswith("a circle")] == [f"{path} {fault}"]


def test_a_circle_is_caught(tmp_path: Path) -> None:
    circle = {f"{RULES}/grid.py": "from . import results\n", f"{RULES}/results.py": "from .grid import Grid\n"}
    assert faults(write_tree(tmp_path, {**GOOD, **circle})) == [CIRCLE]
