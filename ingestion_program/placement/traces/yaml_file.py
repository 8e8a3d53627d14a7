"""Reads YAML files (grid, manifest and all others); every error is one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ..errors import OrganizerError

# A manifest of a hundred traces has a thousand.
MOST_VALUES = 100_000
LARGEST_BYTES = 2**22


def parse_yaml(data: bytes, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """The content of a YAML text.

    Raises ValueError, whose text is one line, for whatever cannot be read: no YAML, not UTF-8, a value that is not of
    the type it names, lists that are nested too deeply, and more than MOST_VALUES values. An alias counts as all that
    it stands for, as whoever writes the content out would find it.
    """
    if len(data) > LARGEST_BYTES:
        raise ValueError(f"more than {LARGEST_BYTES} bytes")
    try:
        return _content(loader(data.decode("utf-8")))
    except _TooMany:
        raise ValueError(f"more than {MOST_VALUES} values") from None
    except MemoryError:
        raise
    except RecursionError:
        raise ValueError("lists or mappings that are nested too deeply, or hold themselves") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"no UTF-8: {error}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{type(error).__name__}: {' '.join(str(error).split())}") from None
    # PyYAML lets errors of many kinds through: `!!bool x` is a KeyError, `!!int ""` an IndexError.
    except Exception as error:
        raise ValueError(f"a value that is not of its type ({type(error).__name__})") from None


def read_yaml(path: Path, name: str) -> Any:
    """The content of a YAML file; name: what the error calls the file. Raises OrganizerError."""
    try:
        with path.open("rb") as file:
            return parse_yaml(file.read(LARGEST_BYTES + 1))
    except (OSError, ValueError) as error:
        got = f"{type(error).__name__}: {error}" if isinstance(error, OSError) else str(error)
        raise OrganizerError(
            f"the {name} cannot be read",
            got=got,
            expected=f"a YAML file {path}",
            next_step="correct the path or the file",
            where=name,
        ) from None


class _TooMany(Exception):
    """More values than MOST_VALUES."""


def _content(loader: yaml.SafeLoader) -> Any:
    try:
        node = loader.get_single_node()
        # Before anything is made of them: a merge key copies what an alias stands for.
        if node and _count(node, {}) > MOST_VALUES:
            raise _TooMany
        if node and (twice := _twice(node, set())):
            raise yaml.YAMLError(f"the key {twice!r:.100} stands twice")
        return loader.construct_document(node) if node else None
    finally:
        loader.dispose()


def _twice(node: yaml.Node, seen: set[int]) -> str | None:
    """The first key that stands twice in one mapping (PyYAML would take the last); seen: nodes by identity."""
    if isinstance(node, yaml.ScalarNode) or id(node) in seen:
        return None
    seen.add(id(node))
    parts = node.value
    if isinstance(node, yaml.MappingNode):
        keys: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in keys:
                    return key.value
                keys.add((key.tag, key.value))
        parts = [part for pair in node.value for part in pair]
    return next((twice for part in parts if (twice := _twice(part, seen))), None)


def _count(node: yaml.Node, counted: dict[int, int]) -> int:
    """How many nodes there are in a node, itself included; counted: those of lists and mappings, by identity."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in counted:
        pairs = isinstance(node, yaml.MappingNode)
        parts = (part for pair in node.value for part in pair) if pairs else node.value
        counted[id(node)] = 1 + sum(_count(part, counted) for part in parts)
    return counted[id(node)]
