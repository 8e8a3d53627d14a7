"""The policies of `sweep`: as they are, or with some of their constants set to other values."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from placement.submission.folder import find_policy
from sweeps.constants import constants
from sweeps.variants import Variant, variants

from .options import UsageError
from .places import short
from .policy_folder import named_policy, staged

Show = Callable[[str], None]


def parameter(text: str) -> tuple[str, list[Any]]:
    """A parameter's name and values: Python's numbers, texts, tuples, True, False, None; other words are texts."""
    name, equals, values = text.partition("=")
    if not name.isidentifier() or not equals or not values.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE,VALUE")
    try:
        return name, list(ast.literal_eval(f"[{values}]"))
    except (ValueError, SyntaxError):
        return name, [value.strip() for value in values.split(",")]


def joined(given: Sequence[tuple[str, list[Any]]]) -> dict[str, list[Any]]:
    """The values of each parameter, wherever they were given."""
    values: dict[str, list[Any]] = {}
    for name, more in given:
        values.setdefault(name, []).extend(more)
    return values


def all_variants(
    policies: Sequence[str | Path], parameters: Mapping[str, Sequence[Any]], written: Path, show: Show
) -> list[Variant]:
    """All variants of the policies. Raises UsageError for a parameter that no policy has a constant for."""
    different = {policy.resolve(): policy for policy in map(named_policy, policies)}
    made = list(staged_variants(list(different.values()), parameters, written))
    for name in parameters:
        lacking = {variant.policy: known for variant, known in made if name.upper() not in known}
        if len(lacking) == len({variant.policy for variant, _ in made}):
            known = "; ".join(f"{policy}: {', '.join(names) or 'none'}" for policy, names in lacking.items())
            what, got = "no policy has a constant of this name", f"--parameter {name}, so {name.upper()}"
            expected = f"a constant at the top of policy.py, set once to a plain value: {known}"
            raise UsageError(what, got, expected, "correct --parameter, or add the constant to policy.py")
        for policy in lacking:
            show(f"{policy} has no constant {name.upper()}, so {name} does not vary there")
    return [variant for variant, _ in made]


def staged_variants(
    policies: Sequence[Path], parameters: Mapping[str, Sequence[Any]], written: Path
) -> Iterable[tuple[Variant, list[str]]]:
    """Variants, each with the names of its policy's constants."""
    stems = [policy.resolve().stem for policy in policies]
    for policy, stem in zip(policies, stems, strict=True):
        title = stem if stems.count(stem) == 1 else str(short(policy))
        with staged(policy) as submission:
            folder = find_policy(submission)[0]
            known = list(constants((folder / "policy.py").read_text(encoding="utf-8")))
            for variant in variants(title, folder, parameters, written):
                yield replace(variant, folder=variant.folder or policy), known
