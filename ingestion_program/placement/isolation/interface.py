"""The policy's interface: loads policy.py and gives both forms of a policy one shape."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ExtensionFileLoader, FileFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..answer import Redeployment
from ..deployment import initial_deployment
from ..errors import PolicyError
from ..grid import Case, Cost
from .foreign_forms import foreign_form
from .reading import read_class_answer, read_function_answer

FUNCTION_FORM = "rebalance(hotness, n_device, n_red_expert)"
CLASS_FORM = "class Policy with __init__(self, case) and rebalance(self, hotness, deployment, iteration)"
FORMS = f"{FUNCTION_FORM}, or {CLASS_FORM}"
CORRECT = "correct the definition in policy.py"

Policy = Callable[[np.ndarray, np.ndarray, int], "Redeployment | None"]


class LoadedPolicy(NamedTuple):
    """A loaded policy: the form ("function" or "class"), one callable for both forms, and the object that holds the
    state.

    call: takes (hotness, deployment, iteration) and returns int64 arrays (layers_priority [n], deployment_table), or
    None; instance: the Policy object, or in the function form the module policy.py.
    """

    form: str
    call: Policy
    instance: object


@dataclass(frozen=True)
class PolicyCase:
    """The argument of `Policy.__init__`: the case's sizes and prices, without the dataset's name."""

    layers: int
    experts: int
    devices: int
    redundant_experts: int
    slots: int
    window: int
    iterations: int
    latency: int
    initial_deployment: np.ndarray
    groups: int
    nodes: int
    balanced_compute_seconds: float
    expert_bytes: int
    bandwidth_bytes_per_second: float


def policy_case(case: Case, cost: Cost, iterations: int) -> PolicyCase:
    """The policy's view of a case; initial_deployment is int64 [layer, device, slot]."""
    return PolicyCase(
        layers=case.layers,
        experts=case.experts,
        devices=case.devices,
        redundant_experts=case.redundant_experts,
        slots=case.slots,
        window=case.window,
        iterations=iterations,
        latency=case.latency,
        initial_deployment=initial_deployment(case.layers, case.experts, case.devices, case.redundant_experts),
        groups=case.groups,
        nodes=case.nodes,
        **asdict(cost),
    )


class FromSource(SourceFileLoader):
    """Loads a module from source or an extension file, never from bytecode beside it."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def load_policy(folder: Path, case: PolicyCase) -> LoadedPolicy:
    """Import policy.py from a folder. Raises PolicyError when policy.py has neither form, and whatever the module
    raises.
    """
    sys.path_hooks.insert(0, lambda path: _finder(path, folder))
    sys.path.insert(0, str(folder))
    # By its file: a folder policy/ beside it would come first by name. Registered first, as dataclasses need.
    loader = FromSource("policy", str(folder / "policy.py"))
    spec = importlib.util.spec_from_file_location("policy", folder / "policy.py", loader=loader)
    module = sys.modules["policy"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function, kind = getattr(module, "rebalance", None), getattr(module, "Policy", None)
    if callable(function):
        both = "rename the function, or remove class Policy: where both are defined, the function rebalance is used"
        step = both if isinstance(kind, type) else CORRECT
        _check_arguments(function, 3, FUNCTION_FORM, _written("rebalance", function), step)
        _check_names(
            function,
            ("deployment", "iteration"),
            FUNCTION_FORM,
            "put the function into class Policy, with self as first argument",
        )

        def call(hotness: np.ndarray, deployment: np.ndarray, iteration: int) -> Redeployment | None:
            return read_function_answer(function(hotness, case.devices, case.redundant_experts))

        return LoadedPolicy("function", call, module)
    if isinstance(kind, type) and callable(getattr(kind, "rebalance", None)):
        written = "no __init__" if kind.__init__ is object.__init__ else _written("__init__", kind.__init__)
        _check_arguments(kind, 1, CLASS_FORM, written, CORRECT)
        policy = kind(case)
        static = isinstance(inspect.getattr_static(kind, "rebalance", None), staticmethod)
        written = "@staticmethod " * static + _written("rebalance", kind.rebalance)
        _check_arguments(policy.rebalance, 3, CLASS_FORM, written, CORRECT)
        step = "take the sizes from case, or write the function form outside of a class"
        _check_names(policy.rebalance, ("n_device", "n_red_expert"), CLASS_FORM, step)
        return LoadedPolicy("class", lambda *arguments: read_class_answer(policy.rebalance(*arguments)), policy)
    raise _no_form(module)


def _finder(path: str, folder: Path) -> FileFinder:
    if not Path(path).is_relative_to(folder):
        raise ImportError
    return FileFinder(path, (ExtensionFileLoader, EXTENSION_SUFFIXES), (FromSource, SOURCE_SUFFIXES))


def _check_arguments(function: Callable[..., Any], count: int, form: str, written: str, next_step: str) -> None:
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return
    try:
        signature.bind(*[None] * count)
    except TypeError:
        raise _other_arguments(written, form, next_step) from None


def _check_names(function: Callable[..., Any], names: tuple[str, str], form: str, next_step: str) -> None:
    # The other form's arguments would be taken for this one's without a word.
    with suppress(ValueError, TypeError):
        if tuple(inspect.signature(function).parameters)[1:3] == names:
            raise _other_arguments(_written("rebalance", function), form, next_step)


def _other_arguments(written: str, form: str, next_step: str) -> PolicyError:
    return PolicyError("crashed", "the policy takes other arguments", got=written, expected=form, next_step=next_step)


def _written(name: str, function: Callable[..., Any]) -> str:
    try:
        return f"{name}{inspect.signature(function)}"
    except (ValueError, TypeError):
        return name


def _no_form(module: ModuleType) -> PolicyError:
    kind = getattr(module, "Policy", None)
    # A class Policy that is no policy has no method rebalance.
    place, wanted = (kind, ("rebalance",)) if isinstance(kind, type) else (module, ("rebalance", "Policy"))
    names = [name for name in dir(place) if not name.startswith("_") and callable(getattr(place, name))]
    got = ", ".join(names[:10])
    got = f"class Policy with {got or 'no methods'}" if place is kind else got or "no function and no class"
    pairs = [(close, name) for name in wanted for close in difflib.get_close_matches(name, names, 1) if close != name]
    classes = [name for name in names if callable(getattr(getattr(place, name), "rebalance", None))]
    pairs += [(name, "Policy") for name in classes[:1]]
    other = "define rebalance in class Policy" if place is kind else "define one of the two forms"
    hint = f"rename {pairs[0][0]} to {pairs[0][1]}" if pairs else other
    if foreign := foreign_form(module):
        got, hint = foreign
    return PolicyError(
        "crashed",
        "policy.py defines no policy",
        got=got,
        expected=FORMS,
        next_step=hint,
    )
