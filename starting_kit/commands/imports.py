"""What Python files import and define, read from the source without running it."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path


def imported_names(name: str, path: Path) -> Iterator[str]:
    """Absolute dotted names of a file's imports: modules, and after `from` also names that may be modules.

    name: the file's name in the submission, from which relative imports count. Empty for a file that Python cannot
    read: loading the file shows the error.
    """
    if not name.endswith(".py"):
        return
    package = name.split("/")[:-1]
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level <= len(package):
            above = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def defined_names(path: Path) -> set[str]:
    """The functions and classes that a file defines at its top level; none for a file that Python cannot read."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in _tree(path).body if isinstance(node, kinds)}


def _tree(path: Path) -> ast.Module:
    try:
        with warnings.catch_warnings():
            # Loading it warns in the log.
            warnings.simplefilter("ignore")
            return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])
