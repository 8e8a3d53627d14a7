"""A policy of this kit behind the interfaces of engines: what it sees there, what it keeps, what the engine gets."""

from __future__ import annotations

import re
import sys
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest

from adapters import deepseek
from adapters.hosting import DeepSeekBalancer, SglangBalancer, VllmAscendBalancer, VllmBalancer
from docs import blocks
from placement.ds_eplb import ds_eplb
from placement.errors import PolicyError

# Two layers, four experts, two devices of three slots; the experts in turn.
WEIGHT = np.array([[9, 2, 3, 0], [1, 2, 3, 9]])
IN_TURN = [[[0, 1, 2], [3, 0, 1]]] * 2
MAPS = np.array([[3, 2, 1, 0, 3, 2], [0, 1, 2, 3, 0, 1]])


class Recorder:
    """Redeploys layer 1 with 0 1 2 | 3 3 0 at every call but the second, and keeps what it saw."""

    seen: ClassVar[list[tuple]]

    def __init__(self, case):
        self.case, self.calls = case, 0

    def rebalance(self, hotness, deployment, iteration):
        self.calls += 1
        self.seen.append((hotness.tolist(), deployment.tolist(), iteration, self.calls, self.case))
        return None if self.calls == 2 else ([1], [[[0, 0, 0], [0, 0, 0]], [[0, 1, 2], [3, 3, 0]]])


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    calls: list[tuple] = []
    monkeypatch.setattr(Recorder, "seen", calls, raising=False)
    return calls


def test_a_policy_keeps_its_state_and_its_table_where_the_engine_tells_none(seen) -> None:
    balancer = DeepSeekBalancer(Recorder, interval=5)
    first = balancer.rebalance_experts(WEIGHT, 6, 2, 1, 2)
    second = balancer.rebalance_experts(WEIGHT, 6, 2, 1, 2)
    # Layer 0 is not listed, so it stays.
    assert first[0].tolist() == second[0].tolist() == [[0, 1, 2, 3, 0, 1], [0, 1, 2, 3, 3, 0]]
    assert first[1].tolist() == [[[0, 4], [1, 5], [2, -1], [3, -1]], [[0, 5], [1, -1], [2, -1], [3, 4]]]
    assert first[2].tolist() == [[2, 2, 1, 1], [2, 1, 1, 2]]
    # A zero is shown as a one.
    assert [call[:4] for call in seen] == [
        ([[[9, 2, 3, 1], [1, 2, 3, 9]]], IN_TURN, 5, 1),
        ([[[9, 2, 3, 1], [1, 2, 3, 9]]], [IN_TURN[0], [[0, 1, 2], [3, 3, 0]]], 10, 2),
    ]
    case = seen[0][4]
    assert (case.layers, case.experts, case.devices, case.redundant_experts, case.slots) == (2, 4, 2, 2, 3)
    assert (case.groups, case.nodes, case.window, case.initial_deployment.tolist()) == (2, 1, 1, IN_TURN)
    assert (case.iterations, case.balanced_compute_seconds, case.expert_bytes) == (10**9, 60.0, 88_080_384)


def test_a_policy_at_vllm_sees_the_map_that_it_serves_with(seen) -> None:
    balancer = VllmBalancer(Recorder)
    assert balancer.rebalance_experts(WEIGHT, 6, 1, 1, 2, MAPS).tolist() == [MAPS[0].tolist(), [0, 1, 2, 3, 3, 0]]
    assert seen[0][1] == MAPS.reshape(2, 2, 3).tolist()
    # The engine has not moved: so the policy sees.
    assert balancer.rebalance_experts(WEIGHT, 6, 1, 1, 2, MAPS).tolist() == MAPS.tolist()
    assert seen[1][1] == MAPS.reshape(2, 2, 3).tolist()
    assert VllmBalancer(Recorder).rebalance_experts(WEIGHT, 6, 1, 1, 2).tolist()[0] == [0, 1, 2, 3, 0, 1]


@pytest.mark.parametrize(
    ("groups", "nodes", "shown"),
    [(2, 2, (2, 2)), (4, 1, (4, 1)), (1, 2, (1, 1)), (0, 2, (1, 1)), (3, 1, (1, 1)), (8, 4, (1, 1))],
    ids=["both", "one node", "more nodes", "no groups", "uneven groups", "more nodes than devices"],
)
def test_groups_that_nodes_do_not_divide_are_shown_as_one_as_deepseeks_code_takes_them(seen, groups, nodes, shown):
    VllmBalancer(Recorder).rebalance_experts(WEIGHT, 6, groups, nodes, 2, MAPS)
    assert (seen[0][4].groups, seen[0][4].nodes) == shown


def test_no_tokens_at_all_teach_a_policy_nothing(seen) -> None:
    assert VllmBalancer(Recorder).rebalance_experts(0 * WEIGHT, 6, 1, 1, 2, MAPS).tolist() == MAPS.tolist()
    assert seen == []


def test_a_draft_model_beside_the_large_one_has_a_policy_of_its_own(seen) -> None:
    class Declines(Recorder):
        def rebalance(self, *given):
            super().rebalance(*given)

    balancer = VllmBalancer(Declines)
    for layers in (2, 1, 2):
        maps = balancer.rebalance_experts(WEIGHT[:layers], 6, 1, 1, 2, MAPS[:layers])
        assert maps.tolist() == MAPS[:layers].tolist()
    assert [(call[3], call[4].layers) for call in seen] == [(1, 2), (1, 1), (2, 2)]


def test_a_policy_at_sglang_sees_every_step(seen) -> None:
    steps = np.stack([WEIGHT, WEIGHT + 1])
    maps = SglangBalancer(Recorder).rebalance_experts(
        tokens_per_expert=steps,
        num_physical_experts=6,
        num_local_physical_experts=3,
        num_groups=None,
        num_nodes=1,
        algorithm="auto",
    )
    assert maps[0].tolist()[1] == [0, 1, 2, 3, 3, 0] and len(maps) == 3
    assert seen[0][0] == np.maximum(steps, 1).tolist() and seen[0][4].window == 2


def test_a_policy_at_vllm_ascend_sees_experts_and_what_stays_keeps_its_slot(seen) -> None:
    table = np.array([[[0, 1, 2], [3, 0, 1]], [[2, 0, 1], [0, 3, 2]]])
    load = np.array([[[5, 1, 3], [1, 4, 1]], [[1, 1, 2], [0, 9, 2]]])
    kinds = ("list of a table", [1], [[[0, 1, 2], [3, 0, 1]], [[0, 1, 3], [3, 2, 0]]])

    def policy(hotness, n_device, n_red_expert):
        seen.append((hotness.tolist(), n_device, n_red_expert))
        return True, kinds[1], kinds[2], None

    change, priority, answer = VllmAscendBalancer(policy).rebalance_experts(table, load)
    # Expert 0 of layer 0: 5 + 4; expert 2 of layer 1: 1 + 2.
    assert seen == [([[[9, 2, 3, 1], [1, 2, 3, 9]]], 2, 2)]
    assert (change, priority.tolist()) == (True, [1])
    # On device 0, experts 0 and 1 keep their slots, and 3 takes 2's; on device 1 all keep theirs.
    assert answer.tolist() == [table[0].tolist(), [[3, 0, 1], [0, 3, 2]]]
    stages = VllmAscendBalancer(policy).rebalance_experts(table, np.stack([load, load]))[2]
    assert stages.tolist() == answer.tolist() and len(seen[1][0]) == 2


def test_an_expert_twice_on_a_device_does_not_reach_vllm_ascend(seen) -> None:
    table = np.array(IN_TURN)
    with pytest.warns(
        UserWarning,
        match=r"^the policy puts an expert twice on a device in layers 1; vllm-ascend forbids this, so these",
    ):
        change, priority, answer = VllmAscendBalancer(Recorder).rebalance_experts(table, table + 1)
    assert (change, priority.tolist(), answer.tolist()) == (False, [], IN_TURN)
    message = r"current_expert_table has an empty slot \(a negative id\); a policy needs a full table"
    with pytest.raises(ValueError, match=f"^{message}$"):
        VllmAscendBalancer(Recorder).rebalance_experts(table - 1, table)


@pytest.mark.parametrize("weight", [WEIGHT / 2, WEIGHT - 1, WEIGHT + 2**31, WEIGHT * np.nan])
def test_loads_that_no_trace_has_are_refused(weight) -> None:
    message = "loads must be whole numbers of tokens from 0 to 2147483647; pass sums, not means"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        DeepSeekBalancer(Recorder).rebalance_experts(weight, 6, 1, 1, 2)
    with pytest.raises(ValueError, match=r"^2 devices of 1 slots hold fewer than 4 experts$"):
        DeepSeekBalancer(Recorder).rebalance_experts(WEIGHT, 2, 1, 1, 2)


def test_an_answer_that_breaks_a_rule_is_not_served() -> None:
    def policy(hotness, n_device, n_red_expert):
        return True, [0], [[[0, 1, 1], [2, 2, 0]]] * 2, None

    with pytest.raises(PolicyError, match=r"layer 0: an expert has no slot\. Got: expert 3 is missing"):
        DeepSeekBalancer(policy).rebalance_experts(WEIGHT.astype(float), 6, 1, 1, 2)


def test_ds_eplb_hosted_is_deepseeks_balancer() -> None:
    def rebalance(hotness, n_device, n_red_expert):
        table = ds_eplb(hotness.sum(axis=0), n_device, n_red_expert)
        return True, range(len(table)), table, None

    maps, slots_of, counts = DeepSeekBalancer(rebalance).rebalance_experts(WEIGHT + 1, 6, 1, 1, 2)
    assert maps.tolist() == ds_eplb(WEIGHT + 1, 2, 2).reshape(2, 6).tolist()
    assert counts.sum(axis=1).tolist() == [6, 6]
    assert all(maps[0, slot] == expert for expert, row in enumerate(slots_of[0]) for slot in row[row >= 0])


def test_the_readme_s_blocks_make_a_policy_and_a_balancer_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    three_lines, hosted = blocks("starting_kit/adapters/README.md")
    balancer, policy = ModuleType("balancer"), ModuleType("policy")

    def rebalance_experts(weight, num_replicas, num_groups, num_nodes, num_gpus):
        return ds_eplb(weight, num_gpus, num_replicas - weight.shape[1]).reshape(len(weight), -1), None, None

    balancer.rebalance_experts = rebalance_experts
    monkeypatch.setitem(sys.modules, "balancer", balancer)
    exec(three_lines, vars(policy))
    monkeypatch.setitem(sys.modules, "policy", policy)
    assert len([*filter(None, three_lines.splitlines())]) == 3 and policy.policy_of is deepseek.policy_of
    found: dict = {}
    exec(hosted, found)
    # Both spare slots go to expert 0: of 9 it keeps 4.5 on each of two, still more than 3.
    assert found["phy2log"].tolist() == ds_eplb(np.array([[9, 2, 3, 1]]), 2, 2).reshape(1, 6).tolist()
    assert found["logcnt"].tolist() == [[3, 1, 1, 1]]
