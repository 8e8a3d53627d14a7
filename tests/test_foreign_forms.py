"""Balancers of other engines' forms in a policy.py: each is told by its form, with the three lines that adapt it."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from placement.isolation.foreign_forms import foreign_form, three_lines

SIZES = "num_replicas, num_groups, num_nodes"
STEPS = "num_physical_experts, num_local_physical_experts, num_groups, num_nodes"
FUNCTION = "from balancer import rebalance_experts"
CALLED = "Policy = policy_of(rebalance_experts)"


def module_of(source: str) -> ModuleType:
    module = ModuleType("policy")
    exec(source, vars(module))
    return module


def method(head: str, kind: str = "Mine", before: str = "", init: str = "") -> str:
    return f"class {kind}:\n{init}{before}    def rebalance_experts({head}): pass\n"


@pytest.mark.parametrize(
    ("source", "engine", "lines"),
    [
        (f"def rebalance_experts(weight, {SIZES}, num_gpus): pass", "DeepSeek's EPLB", ["deepseek", FUNCTION, CALLED]),
        # vLLM's of before it told the live map returns three maps.
        (f"def rebalance_experts(weight, {SIZES}, num_ranks): pass", "DeepSeek's EPLB", ["deepseek", FUNCTION, CALLED]),
        (
            f"def rebalance_experts(weight, {SIZES}, num_gpus, enable_hierarchical): pass",
            "DeepSeek's EPLB",
            ["deepseek", FUNCTION, "Policy = policy_of(rebalance_experts, enable_hierarchical=False)"],
        ),
        (
            f"def rebalance_experts(weight, {SIZES}, num_ranks, old_global_expert_indices=None): pass",
            "vLLM",
            ["vllm", FUNCTION, CALLED],
        ),
        (
            f"def rebalance_experts(tokens_per_expert, {STEPS}, algorithm): pass",
            "SGLang",
            ["sglang", FUNCTION, "Policy = policy_of(rebalance_experts, algorithm=ALGORITHM)"],
        ),
        ("def rebalance_experts(table, expert_workload): pass", "vllm-ascend", ["vllm_ascend", FUNCTION, CALLED]),
        (
            method(f"cls, weight, {SIZES}, num_ranks, old_global_expert_indices=None", before="    @classmethod\n"),
            "vLLM",
            ["vllm", "from balancer import Mine", "Policy = policy_of(Mine.rebalance_experts)"],
        ),
        (
            method("self, current_expert_table, expert_workload"),
            "vllm-ascend",
            ["vllm_ascend", "from balancer import Mine", "Policy = policy_of(Mine().rebalance_experts)"],
        ),
        (
            method("self, a, expert_workload", init="    def __init__(self, config): pass\n", kind="Policy"),
            "vllm-ascend",
            [
                "vllm_ascend",
                "from balancer import Policy as Balancer",
                "Policy = policy_of(Balancer(CONFIG).rebalance_experts)",
            ],
        ),
    ],
)
def test_a_form_is_told_by_its_arguments(source: str, engine: str, lines: list[str]) -> None:
    found = foreign_form(module_of(source))
    assert found is not None and found.words.endswith(f", a balancer in the form of {engine}")
    assert three_lines(found.next_step) == [f"from adapters.{lines[0]} import policy_of", *lines[1:]]
    assert found.next_step.startswith(
        "name this file balancer.py, and write these three lines into a new policy.py beside"
    )


@pytest.mark.parametrize(
    "source",
    [
        "def rebalance_experts(hotness, n_device, n_red_expert): pass",
        "def rebalance_experts(*given): pass",
        "rebalance_experts = 5",
        "class Policy:\n    def place(self): pass",
    ],
)
def test_what_is_none_of_the_forms_gets_no_adapter(source: str) -> None:
    assert foreign_form(module_of(source)) is None
    assert three_lines('write "this" into policy.py') == []


def test_a_class_of_the_file_comes_before_the_abstract_one_that_it_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ModuleType("engine")
    exec(method("self, a, expert_workload", kind="EplbPolicy"), vars(engine))
    monkeypatch.setitem(sys.modules, "engine", engine)
    head = "class Mine(Base):\n    pass\nfrom engine import EplbPolicy\n"
    found = foreign_form(module_of("from engine import EplbPolicy as Base\n" + head))
    assert three_lines(found.next_step)[1] == "from balancer import Mine"
