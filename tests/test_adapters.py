"""Balancers of other engines' forms as policies of this kit: what they are handed, and what becomes of their answer."""

from __future__ import annotations

import json
import sys
from types import ModuleType

import numpy as np
import pytest

from adapters import deepseek, sglang, tensors, vllm, vllm_ascend
from adapters.maps import loads_of_slots, logical_to_physical, replica_counts, replica_numbers
from commands.places import GRID, TRACES
from commands.selection import read_grid, select
from placement.answer import Redeployment
from placement.deployment import initial_deployment
from placement.ds_eplb import ds_eplb
from placement.isolation.interface import PolicyCase, policy_case
from placement.isolation.reading import read_class_answer
from placement.replay import replay
from placement.results import mean_par
from placement.traces.files import TraceFolder, manifest_beside
from submissions import ROOT

# Two layers, four experts, two devices of three slots.
HOTNESS = np.array([[[1, 2, 3, 4], [5, 6, 7, 8]], [[1, 1, 1, 1], [1, 1, 1, 2**31 - 1]]], np.int32)
SUMS = [[2, 3, 4, 5], [6, 7, 8, 2**31 + 7]]
LIVE = np.array([[[0, 1, 1], [2, 3, 3]], [[3, 1, 0], [2, 3, 3]]])
MAP = [[0, 1, 2, 3, 0, 1], [3, 2, 1, 0, 3, 3]]
TABLE = [[[0, 1, 2], [3, 0, 1]], [[3, 2, 1], [0, 3, 3]]]


def small_case() -> PolicyCase:
    sizes = {"layers": 2, "experts": 4, "devices": 2, "redundant_experts": 2, "slots": 3, "groups": 2, "nodes": 1}
    told = {"window": 2, "iterations": 12, "latency": 0, "initial_deployment": initial_deployment(2, 4, 2)}
    prices = {"balanced_compute_seconds": 60.0, "expert_bytes": 1, "bandwidth_bytes_per_second": 1.0}
    return PolicyCase(**sizes, **told, **prices)


def answer_of(kind: type) -> tuple[list[int], list]:
    """What a policy answers at one call."""
    priority, table = kind(small_case()).rebalance(HOTNESS, LIVE.copy(), 3)
    return list(priority), np.asarray(table).tolist()


def test_a_balancer_of_deepseeks_form_gets_sums_and_sizes_and_its_first_map_is_the_table() -> None:
    def rebalance_experts(weight, num_replicas, num_groups, num_nodes, num_gpus, extra):
        assert (weight.tolist(), weight.dtype) == (SUMS, np.int64)
        assert (num_replicas, num_groups, num_nodes, num_gpus, extra) == (6, 2, 1, 2, "x")
        return MAP, None, None

    assert answer_of(deepseek.policy_of(rebalance_experts, extra="x")) == ([0, 1], TABLE)


@pytest.mark.parametrize("old", [False, True])
def test_a_policy_of_vllms_gets_the_live_map_and_one_map_or_three_are_taken(old: bool) -> None:
    class MyPolicy:
        @classmethod
        def rebalance_experts(cls, weight, num_replicas, num_groups, num_nodes, num_ranks, old_global_expert_indices):
            assert (weight.tolist(), num_replicas, num_groups, num_nodes, num_ranks) == (SUMS, 6, 2, 1, 2)
            assert old_global_expert_indices.tolist() == [[0, 1, 1, 2, 3, 3], [3, 1, 0, 2, 3, 3]]
            return (np.array(MAP), None, None) if old else np.array(MAP)

    assert answer_of(vllm.policy_of(MyPolicy.rebalance_experts)) == ([0, 1], TABLE)


def test_a_balancer_of_sglangs_form_gets_every_step_and_its_arguments_by_name() -> None:
    def rebalance_experts(
        *, num_local_physical_experts, num_physical_experts, tokens_per_expert, num_nodes, num_groups, algorithm
    ):
        assert np.array_equal(tokens_per_expert, HOTNESS)
        assert (num_physical_experts, num_local_physical_experts, num_groups, num_nodes) == (6, 3, 2, 1)
        assert algorithm == "deepseek"
        return MAP, None, None

    assert answer_of(sglang.policy_of(rebalance_experts, algorithm="deepseek")) == ([0, 1], TABLE)


def test_a_policy_of_vllm_ascends_gets_the_tokens_of_slots_and_its_priority_is_kept() -> None:
    def rebalance_experts(current_expert_table, expert_workload):
        assert np.array_equal(current_expert_table, LIVE)
        # An odd token goes to the first of an expert's slots.
        assert expert_workload.tolist() == [
            [[2, 2, 1], [4, 3, 2]],
            [[715827885, 7, 6], [8, 715827885, 715827885]],
        ]
        return 1, np.array([1, 0]), TABLE

    assert answer_of(vllm_ascend.policy_of(rebalance_experts)) == ([1, 0], TABLE)


def test_a_policy_of_vllm_ascends_gets_stages_where_asked_and_keeps_the_table_by_saying_so() -> None:
    def rebalance_experts(current_expert_table, expert_workload):
        assert expert_workload[:, 0].tolist() == [[[1, 1, 1], [3, 2, 2]], [[1, 1, 0], [1, 1, 0]]]
        return False, [], None

    # No more stages than iterations.
    policy = vllm_ascend.policy_of(rebalance_experts, stages=64)(small_case())
    assert policy.rebalance(HOTNESS, LIVE, 3) is None
    with pytest.raises(ValueError, match="stages must be at least 1, got 0"):
        vllm_ascend.policy_of(rebalance_experts, stages=0)


class Tensor:
    """What the adapters use of a torch tensor."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def detach(self) -> Tensor:
        return self

    cpu = detach

    def numpy(self) -> np.ndarray:
        return self.array


def test_tensors_go_in_and_out_where_torch_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = ModuleType("torch")
    torch.from_numpy, torch.Tensor = Tensor, Tensor

    def rebalance_experts(weight, *sizes):
        assert isinstance(weight, Tensor) and weight.array.tolist() == SUMS
        return Tensor(np.array(MAP)), None, None

    monkeypatch.setitem(sys.modules, "torch", torch)
    assert answer_of(deepseek.policy_of(rebalance_experts)) == ([0, 1], TABLE)
    assert isinstance(tensors.like(np.ones(1), Tensor(np.ones(1))), Tensor)
    assert isinstance(tensors.like(np.ones(1), np.ones(1)), np.ndarray)


def test_a_map_of_another_shape_is_refused_with_the_right_one() -> None:
    message = r"the balancer's map from slots to experts has shape \[2, 4\]; expected \[2, 6\] \[layer, slot\], "
    with pytest.raises(ValueError, match=f"^{message}with every slot of all devices$"):
        answer_of(deepseek.policy_of(lambda *given: ([[0, 1, 2, 3]] * 2, None, None)))
    message = r"rebalance_experts returned ndarray; expected \(physical_to_logical_map, logical_to_physical_map, "
    with pytest.raises(
        ValueError, match=f"^{message}expert_count\\); for a balancer that returns only the first, use adapters.vllm$"
    ):
        answer_of(deepseek.policy_of(lambda *given: np.array(MAP)))


class Bound:
    @classmethod
    def rebalance_experts(cls) -> None: ...


class Unbound:
    def rebalance_experts(self) -> None: ...


@pytest.mark.parametrize(
    ("balancer", "message"),
    [
        (Bound, "policy_of takes a function, but got the class Bound; pass Bound.rebalance_experts"),
        (Unbound, "policy_of takes a function, but got the class Unbound; pass Unbound(...).rebalance_experts"),
        (7, "policy_of takes the function rebalance_experts, but got int"),
    ],
)
def test_what_is_no_function_is_refused_when_the_policy_is_loaded(balancer, message: str) -> None:
    for adapter in (deepseek, vllm, sglang, vllm_ascend):
        with pytest.raises(TypeError) as raised:
            adapter.policy_of(balancer)
        assert str(raised.value) == message


def test_maps_number_an_experts_slots_in_order() -> None:
    maps = np.array(MAP)
    assert replica_numbers(maps).tolist() == [[0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 1, 2]]
    assert replica_counts(maps, 4).tolist() == [[2, 2, 1, 1], [1, 1, 1, 3]]
    none = [-1, -1]
    assert logical_to_physical(maps, 4).tolist() == [
        [[0, 4, -1], [1, 5, -1], [2, *none], [3, *none]],
        [[3, *none], [2, *none], [1, *none], [0, 4, 5]],
    ]
    assert loads_of_slots(np.array(SUMS), maps).sum(axis=1).tolist() == [sum(row) for row in SUMS]


def test_deepseeks_algorithm_in_deepseeks_form_measures_what_scores_100() -> None:
    def rebalance_experts(weight, num_replicas, num_groups, num_nodes, num_gpus):
        table = ds_eplb(weight, num_gpus, num_replicas - weight.shape[1], num_groups, num_nodes)
        maps = table.reshape(len(weight), num_replicas)
        return maps, logical_to_physical(maps, weight.shape[1]), replica_counts(maps, weight.shape[1])

    grid = read_grid(GRID)
    [case] = select(grid, ["Qwen3/generated:32"])
    trace = TraceFolder(TRACES, manifest_beside(TRACES, [])).trace_of(case)
    policy = deepseek.policy_of(rebalance_experts)(policy_case(case, grid.cost, trace.iterations))

    def called(start: int, stop: int, deployment: np.ndarray, iteration: int) -> Redeployment | None:
        return read_class_answer(policy.rebalance(trace.window(start, stop), deployment, iteration))

    measured = replay(trace, case, called)
    rows = json.loads((ROOT / "reference_data" / "ds_eplb.json").read_text())["cases"]
    [row] = [row for row in rows if (row["model"], row["ep"]) == ("Qwen3", 32)]
    assert (mean_par(measured.par), measured.transmit_amount) == (row["mean_par"], row["transmit_amount"])


@pytest.mark.parametrize("engine", [deepseek, sglang, vllm, vllm_ascend])
def test_a_balancer_that_returns_nothing_is_named(engine: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"^rebalance_experts returned None; expected its map: look in the balancer"):
        answer_of(engine.policy_of(lambda *_, **__: None))
