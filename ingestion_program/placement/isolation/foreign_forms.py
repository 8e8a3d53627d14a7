"""Recognizes a policy.py that holds a balancer in another engine's form, and writes the three lines that adapt it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

NAME = "rebalance_experts"
# The kit's adapters by name, and whose form each takes.
ENGINES = {"deepseek": "DeepSeek's EPLB", "vllm": "vLLM", "sglang": "SGLang", "vllm_ascend": "vllm-ascend"}
# What the adapters pass: by position the first arguments, whatever they are called, and SGLang's by name.
POSITIONAL = {"deepseek": 5, "vllm": 6, "vllm_ascend": 2}
BY_NAME = {"tokens_per_expert", "num_physical_experts", "num_local_physical_experts", "num_groups", "num_nodes"}
# A value for an argument that an adapter does not know.
USUAL = {"enable_hierarchical": "False"}
STEP = "name this file balancer.py, and write these three lines into a new policy.py beside it: "
KIT = "; kit.py pack and kit.py run add the adapter"


class Foreign(NamedTuple):
    """A foreign form: what was found, in words, and the next step with the three lines."""

    words: str
    next_step: str


def foreign_form(module: ModuleType) -> Foreign | None:
    """The form of a module's `rebalance_experts` (a function, or a method of a class); None where there is none."""
    function = getattr(module, NAME, None)
    if callable(function):
        return _adapted(NAME, NAME, function, 0)
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type) and callable(getattr(kind, NAME, None))]
    # A class of its own comes before an abstract one that it imports.
    own = [kind for kind in kinds if kind.__module__ == module.__name__] or kinds
    if not own:
        return None
    kind = own[-1]
    alias = "Balancer" if kind.__name__ == "Policy" else kind.__name__
    method = inspect.getattr_static(kind, NAME)
    if isinstance(method, (staticmethod, classmethod)):
        return _adapted(kind.__name__, f"{alias}.{NAME}", getattr(kind, NAME), 0, alias)
    wanted = ", ".join(name.upper() for name in _needed(kind))
    return _adapted(kind.__name__, f"{alias}({wanted}).{NAME}", getattr(kind, NAME), 1, alias)


def three_lines(next_step: str) -> list[str]:
    """The lines that a next step of foreign_form quotes; none for another step."""
    return re.findall(r'"([^"]*)"', next_step) if next_step.startswith(STEP) else []


def _adapted(imported: str, called: str, function: Callable[..., Any], skipped: int, alias: str = "") -> Foreign | None:
    try:
        parameters = list(inspect.signature(function).parameters.values())[skipped:]
    except (ValueError, TypeError):
        return None
    names = [part.name for part in parameters if part.kind in (part.POSITIONAL_ONLY, part.POSITIONAL_OR_KEYWORD)]
    adapter = _adapter(names)
    if adapter is None:
        return None
    given = BY_NAME if adapter == "sglang" else set(names[: POSITIONAL[adapter]])
    options = [part.name for part in parameters if _is_needed(part) and part.name not in given]
    arguments = ", ".join([called, *(f"{name}={USUAL.get(name, name.upper())}" for name in options)])
    taken = f"{imported} as {alias}" if alias and alias != imported else imported
    lines = [f"from adapters.{adapter} import policy_of", f"from balancer import {taken}"]
    lines.append(f"Policy = policy_of({arguments})")
    words = f"{called}, a balancer in the form of {ENGINES[adapter]}"
    return Foreign(words, STEP + ", ".join(f'"{line}"' for line in lines) + KIT)


def _adapter(names: list[str]) -> str | None:
    if "tokens_per_expert" in names:
        return "sglang"
    if {"num_ranks", "old_global_expert_indices"} & set(names) and len(names) > 5:
        return "vllm"
    if len(names) == 2 or "expert_workload" in names:
        return "vllm_ascend"
    # Three arguments are this kit's function form under another name.
    return "deepseek" if len(names) >= 5 else None


def _needed(function: Callable[..., Any]) -> list[str]:
    try:
        return [part.name for part in inspect.signature(function).parameters.values() if _is_needed(part)]
    except (ValueError, TypeError):
        return []


def _is_needed(part: inspect.Parameter) -> bool:
    return part.default is part.empty and part.kind not in (part.VAR_POSITIONAL, part.VAR_KEYWORD)
