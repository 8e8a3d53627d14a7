"""The constants of a policy.py, which a sweep sets to other values: plain values of upper-case names, each set once."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Constant(NamedTuple):
    """A constant's value, and the expression that it is written as."""

    value: Any
    node: ast.expr


def constants(source: str) -> dict[str, Constant]:
    """The constants at the top level of a module, in order; none of a source that is no Python.

    `A = 1`, `A: int = 1` and the parts of `A, B = 1, 2` are constants. A name that is set twice is none: a sweep could
    not say which of the two counts.
    """
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):
        return {}
    pairs = [pair for statement in body for pair in _assigned(statement)]
    times = Counter(name for name, _ in pairs)
    found = {}
    for name, node in pairs:
        if name.isupper() and times[name] == 1 and node is not None:
            try:
                found[name] = Constant(ast.literal_eval(node), node)
            except (ValueError, TypeError):
                continue
    return found


def with_constants(source: str, values: Mapping[str, Any]) -> str:
    """The source with other values for some of its constants; nothing else changes."""
    # As Python counts lines and columns: by newlines and in bytes.
    lines = source.encode("utf-8").split(b"\n")
    found = constants(source)
    # From the end, so that what is still to be replaced stays where it is.
    for name in sorted(values, key=lambda name: _start(found[name].node), reverse=True):
        node = found[name].node
        first, last = node.lineno - 1, node.end_lineno - 1
        text = lines[first][: node.col_offset] + repr(values[name]).encode("utf-8") + lines[last][node.end_col_offset :]
        lines[first : last + 1] = [text]
    return b"\n".join(lines).decode("utf-8")


def _start(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _assigned(statement: ast.stmt) -> Iterator[tuple[str, ast.expr | None]]:
    """The names that a statement sets, each with its expression; None where it has none of its own."""
    match statement:
        case ast.Assign([ast.Tuple(names)], ast.Tuple(values)) if len(names) == len(values):
            for name, value in zip(names, values, strict=True):
                yield from _named(name, value)
        case ast.Assign([target], value) | ast.AnnAssign(target=target, value=value):
            yield from _named(target, value)
        case _:
            # Whatever else may set a name, such as `if` or `for`, makes it one that is not known.
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id, None


def _named(target: ast.expr, value: ast.expr | None) -> Iterator[tuple[str, ast.expr | None]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    else:
        yield from ((node.id, None) for node in ast.walk(target) if isinstance(node, ast.Name))
