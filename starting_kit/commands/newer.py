"""Names of numpy and Python syntax in a policy's files that are newer than the platform, found without running them."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from .image import PYTHON

# Names of numpy by the version that brought them, later than 1.26.
NAMES = {
    "2.0": "acos acosh asin asinh astype atan atan2 atanh bitwise_count bitwise_invert bitwise_left_shift "
    "bitwise_right_shift bool concat isdtype long matrix_transpose permute_dims pow strings trapezoid ulong unique_all "
    "unique_counts unique_inverse unique_values vecdot dtypes.StringDType exceptions.RankWarning linalg.cross "
    "linalg.diagonal linalg.matmul linalg.matrix_norm linalg.matrix_transpose linalg.outer linalg.svdvals "
    "linalg.tensordot linalg.trace linalg.vecdot linalg.vector_norm",
    "2.1": "cumulative_prod cumulative_sum unstack",
    "2.2": "matvec vecmat",
}
# Functions of 1.26 with an argument that later versions brought.
ARGUMENTS = {
    "2.0": {
        **dict.fromkeys(("argsort", "sort"), ("stable",)),
        **dict.fromkeys(("quantile", "percentile", "nanquantile", "nanpercentile"), ("weights",)),
        **dict.fromkeys(("std", "var", "nanstd", "nanvar"), ("mean", "correction")),
        **dict.fromkeys(("eye", "full", "full_like", "linspace", "ones", "ones_like", "zeros_like"), ("device",)),
        **dict.fromkeys(("linalg.matrix_rank", "linalg.pinv"), ("rtol",)),
        "linalg.cholesky": ("upper",),
    },
    "2.1": {"reshape": ("copy", "shape"), "clip": ("max", "min")},
    "2.2": {"trim_zeros": ("axis",)},
    "2.3": {"unique": ("sorted",)},
    "2.5": dict.fromkeys(("argsort", "sort"), ("descending",)),
}
SINCE = {f"numpy.{name}": since for since, names in NAMES.items() for name in names.split()} | {
    f"numpy.{name}({argument}=)": since
    for since, functions in ARGUMENTS.items()
    for name, arguments in functions.items()
    for argument in arguments
}
# A policy that catches one of these has another way.
CAUGHT = {"AttributeError", "ImportError", "TypeError", "Exception"}


class Newer(NamedTuple):
    """Something newer than the platform: what, since which version, and where it is used first."""

    what: str
    since: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.what} ({self.since}; {self.file}, line {self.line})"


def newer_uses(files: dict[str, Path]) -> list[Newer]:
    """What a submission's Python files use and the platform's numpy or Python lacks, each thing once.

    files: paths by name in the zip. A name in a `try` that catches the name's absence does not count, nor a name that
    `hasattr` asks for. Files that this Python cannot read are left out: loading them shows the error.
    """
    found: dict[str, Newer] = {}
    for name, path in files.items():
        if name.endswith(".py"):
            for use in _uses_in(name, path):
                found.setdefault(use.what, use)
    return list(found.values())


def _uses_in(name: str, path: Path) -> Iterator[Newer]:
    try:
        source = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
            yield from _syntax(name, source)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return
    aliases = dict(_aliases(tree))
    asked = {_asked(node, aliases) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for what, line in _numpy(tree, aliases):
        if what not in asked and what in SINCE:
            yield Newer(what.replace("numpy", "np", 1), f"numpy {SINCE[what]}", name, line)


def _syntax(name: str, source: bytes) -> Iterator[Newer]:
    try:
        ast.parse(source, feature_version=tuple(map(int, PYTHON.split("."))))
    except SyntaxError as error:
        yield Newer("syntax", f"later than Python {PYTHON}", name, error.lineno or 0)


def _aliases(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """What each name in a file stands for: np for numpy, vecdot for numpy.linalg.vecdot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)


def _numpy(node: ast.AST, aliases: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Dotted names and arguments, such as `numpy.sort(stable=)`, in source order, with their lines."""
    children: Iterable[ast.AST] = ast.iter_child_nodes(node)
    if isinstance(node, ast.Try) and any(map(_catches, node.handlers)):
        children = [*node.handlers, *node.orelse, *node.finalbody]
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
    elif isinstance(node, ast.Attribute):
        yield _dotted(node, aliases), node.lineno
    elif isinstance(node, ast.Call):
        function = _dotted(node.func, aliases)
        yield from ((f"{function}({keyword.arg}=)", node.lineno) for keyword in node.keywords)
    for child in children:
        yield from _numpy(child, aliases)


def _dotted(node: ast.AST, aliases: dict[str, str]) -> str:
    """The dotted name of an expression; "" for another expression."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id, "")
    if isinstance(node, ast.Attribute) and (above := _dotted(node.value, aliases)):
        return f"{above}.{node.attr}"
    return ""


def _asked(call: ast.Call, aliases: dict[str, str]) -> str:
    """The dotted name that a `hasattr` asks for."""
    if isinstance(call.func, ast.Name) and call.func.id == "hasattr" and len(call.args) == 2:
        attribute = call.args[1]
        if isinstance(attribute, ast.Constant):
            return f"{_dotted(call.args[0], aliases)}.{attribute.value}"
    return ""


def _catches(handler: ast.ExceptHandler) -> bool:
    named = [handler.type] if not isinstance(handler.type, ast.Tuple) else handler.type.elts
    return any(name is None or (isinstance(name, ast.Name) and name.id in CAUGHT) for name in named)
