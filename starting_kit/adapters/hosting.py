"""The reverse of the adapters: a policy of this kit, with its state, behind the interface of an engine.

An engine calls `rebalance_experts` of one of the four classes, made once with the policy: its class Policy or its
function rebalance. `adapters`, `planning` and `placement` must be importable there.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import numpy as np

from placement.answer import Redeployment, check_answer
from placement.grid import Cost
from placement.isolation.interface import PolicyCase
from placement.isolation.reading import read_class_answer, read_function_answer
from planning.alignment import align_slots

from .maps import logical_to_physical, replica_counts
from .tensors import array_of, like

# An engine serves on: a gate that asks how many iterations are left finds as many at every call.
ENDLESS = 10**9
LARGEST_LOAD = 2**31 - 1
# Those of the competition's grids.
PRICES = Cost(60.0, 88_080_384, 900_000_000_000)


@dataclass
class Served:
    """A model that is served: the policy's call, the table, int64 [layer, device, slot], and the steps so far."""

    case: PolicyCase
    call: Callable[[np.ndarray, np.ndarray, int], Redeployment | None]
    table: np.ndarray
    iteration: int = 0


@dataclass
class Host:
    """A policy and the models that it serves. Models of different sizes (such as a draft model) are kept apart.

    policy: class Policy or function rebalance; interval: the engine's steps between two calls; iterations: steps served
    in all, over which balanced_compute_seconds are spread. Until an engine states its map, the slots hold the experts
    in turn (0, 1, 2 ..., then 0 again), as SGLang and vLLM begin.
    """

    policy: Callable[..., Any]
    interval: int = 1
    iterations: int = ENDLESS
    cost: Cost = PRICES
    _served: dict[tuple[int, ...], Served] = field(default_factory=dict, init=False)

    def plan(
        self, hotness: np.ndarray, devices: int, slots: int, groups: int, nodes: int, live: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Call the policy: the layers that it redeploys, int64 [n], and the whole table with these replaced.

        hotness: whole numbers [step, layer, expert], of which a zero is shown as a one, as in the simulator; devices,
        slots: of a layer, on a device; live: the map that the engine serves with, [layer, slot], where it tells. Of no
        token at all, as vLLM hands over while it measures memory, the policy is not told. Where nodes do not divide
        groups, as at a model without groups, the policy is told of one of each. Raises ValueError for loads or sizes
        that no trace can have, and PolicyError for an answer that breaks a rule.
        """
        hotness = _whole(hotness)
        _, layers, experts = hotness.shape
        if devices * slots < experts:
            raise ValueError(f"{devices} devices of {slots} slots hold fewer than {experts} experts")
        table = None if live is None else live.astype(np.int64).reshape(layers, devices, slots)
        sizes = (layers, experts, devices, slots, *_groups_and_nodes(experts, devices, groups, nodes))
        if sizes not in self._served:
            self._served[sizes] = self._begin(len(hotness), *sizes, table)
        served = self._served[sizes]
        priority = np.empty(0, np.int64)
        if table is not None:
            served.table = table
        if hotness.any():
            served.iteration += self.interval
            answer = served.call(np.maximum(hotness, 1), served.table.copy(), served.iteration)
            if answer is not None:
                # It has all the sizes that the check looks at.
                check_answer(*answer, cast(Any, served.case))
                priority = answer[0]
                served.table[priority] = answer[1][priority]
        return priority, served.table.copy()

    def _begin(
        self,
        window: int,
        layers: int,
        experts: int,
        devices: int,
        slots: int,
        groups: int,
        nodes: int,
        table: np.ndarray | None,
    ) -> Served:
        if table is None:
            in_turn = np.arange(devices * slots).reshape(devices, slots) % experts
            table = np.tile(in_turn, (layers, 1, 1))
        case = PolicyCase(
            layers=layers,
            experts=experts,
            devices=devices,
            redundant_experts=devices * slots - experts,
            slots=slots,
            window=window,
            iterations=self.iterations,
            latency=0,
            initial_deployment=table.copy(),
            groups=groups,
            nodes=nodes,
            **asdict(self.cost),
        )
        return Served(case, self._call_of(case), table)

    def _call_of(self, case: PolicyCase) -> Callable[[np.ndarray, np.ndarray, int], Redeployment | None]:
        if isinstance(self.policy, type):
            policy = self.policy(case)
            return lambda *given: read_class_answer(policy.rebalance(*given))
        function, redundant = self.policy, case.redundant_experts
        return lambda hotness, *_: read_function_answer(function(hotness, case.devices, redundant))


class DeepSeekBalancer(Host):
    """A policy behind DeepSeek's form. The form does not pass the live map, so this class keeps the map."""

    def rebalance_experts(
        self, weight: Any, num_replicas: int, num_groups: int, num_nodes: int, num_gpus: int
    ) -> tuple[Any, Any, Any]:
        """The three maps for weight [layer, expert], tensors where weight is one."""
        _, table = self.plan(array_of(weight)[None], num_gpus, num_replicas // num_gpus, num_groups, num_nodes)
        return _three_maps(table, weight)


class VllmBalancer(Host):
    """A policy in the place of an AbstractEplbPolicy of vLLM 0.33; vLLM passes the live map."""

    def rebalance_experts(
        self,
        weight: Any,
        num_replicas: int,
        num_groups: int,
        num_nodes: int,
        num_ranks: int,
        old_global_expert_indices: Any = None,
    ) -> Any:
        """The map [layer, slot] for weight [layer, expert], a tensor where weight is one."""
        live = None if old_global_expert_indices is None else array_of(old_global_expert_indices)
        slots = num_replicas // num_ranks
        _, table = self.plan(array_of(weight)[None], num_ranks, slots, num_groups, num_nodes, live)
        return like(table.reshape(len(table), -1), weight)


class SglangBalancer(Host):
    """A policy in the place of `eplb_algorithms.rebalance_experts` of SGLang 0.5; this class keeps the live map."""

    def rebalance_experts(
        self,
        tokens_per_expert: Any,
        num_physical_experts: int,
        num_local_physical_experts: int,
        num_groups: int | None,
        num_nodes: int,
        algorithm: Any = None,
    ) -> tuple[Any, Any, Any]:
        """The three maps for tokens_per_expert [step, layer, expert]; algorithm: not looked at."""
        devices = num_physical_experts // num_local_physical_experts
        hotness = array_of(tokens_per_expert)
        _, table = self.plan(hotness, devices, num_local_physical_experts, num_groups or 0, num_nodes)
        return _three_maps(table, tokens_per_expert)


class VllmAscendBalancer(Host):
    """A policy in the place of an EplbPolicy of vllm-ascend 0.23; vllm-ascend passes the live table."""

    def rebalance_experts(self, current_expert_table: Any, expert_workload: Any) -> tuple[bool, np.ndarray, Any]:
        """Whether the table changes, the layers that do in order, and the table [layer, rank, slot].

        expert_workload: of every slot, [layer, rank, slot] or [stage, layer, rank, slot]. What stays on a device keeps
        its slot. vllm-ascend refuses an expert twice on a device: such layers stay as they are, with a warning.
        """
        live = array_of(current_expert_table)
        if live.min() < 0:
            raise ValueError("current_expert_table has an empty slot (a negative id); a policy needs a full table")
        layers, devices, slots = live.shape
        flat = live.reshape(layers, -1)
        hotness = _of_experts(array_of(expert_workload).reshape(-1, *flat.shape), flat)
        priority, table = self.plan(hotness, devices, slots, 1, 1, flat)
        table = align_slots(table, live)
        ordered = np.sort(table, axis=2)
        double = (ordered[:, :, 1:] == ordered[:, :, :-1]).any(axis=(1, 2))
        if double[priority].any():
            names = ", ".join(map(str, priority[double[priority]]))
            warnings.warn(
                f"the policy puts an expert twice on a device in layers {names}; vllm-ascend forbids this, so these "
                "layers stay",
                stacklevel=2,
            )
        priority = priority[~double[priority]]
        answer = live.copy()
        answer[priority] = table[priority]
        return len(priority) > 0, priority, like(answer, current_expert_table)


def _three_maps(table: np.ndarray, model: Any) -> tuple[Any, Any, Any]:
    maps = table.reshape(len(table), -1)
    experts = int(maps.max()) + 1
    counts = replica_counts(maps, experts)
    return like(maps, model), like(logical_to_physical(maps, experts), model), like(counts, model)


def _groups_and_nodes(experts: int, devices: int, groups: int, nodes: int) -> tuple[int, int]:
    """Groups and nodes as a case may have them; otherwise one of each, as DeepSeek's code then plans globally."""
    whole = groups > 0 and nodes > 0 and not (groups % nodes or experts % groups or devices % nodes)
    return (groups, nodes) if whole else (1, 1)


def _of_experts(workload: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Tokens of slots [step, layer, slot] summed to tokens of experts, [step, layer, expert]; maps: [layer, slot]."""
    hotness = np.zeros((*workload.shape[:2], int(maps.max()) + 1), workload.dtype)
    for loads, tokens in zip(hotness, workload, strict=True):
        np.add.at(loads, (np.arange(len(maps))[:, None], maps), tokens)
    return hotness


def _whole(loads: np.ndarray) -> np.ndarray:
    """Loads as hotness, int32. Raises ValueError for values that are not numbers of tokens, or too large."""
    if loads.ndim != 3:
        raise ValueError(f"loads must be [step, layer, expert], got {loads.ndim} axes")
    if not ((loads >= 0) & (loads <= LARGEST_LOAD) & (loads == np.floor(loads))).all():
        raise ValueError(f"loads must be whole numbers of tokens from 0 to {LARGEST_LOAD}; pass sums, not means")
    return loads.astype(np.int32)
