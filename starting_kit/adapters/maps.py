"""Maps of the engines, [layer, slot] with the slots of a device side by side, and tables derived from maps."""

from __future__ import annotations

from typing import Any

import numpy as np

from placement.policy_types import Case

from .tensors import array_of

NOTHING = "rebalance_experts returned None; expected its map: look in the balancer for a path without `return`"


def table_of(physical_to_logical: Any, case: Case) -> np.ndarray:
    """The deployment table [layer, device, slot] of a balancer's map [layer, slot], a tensor, an array or lists.

    Raises ValueError for a map of another shape. The ids are checked later, with the policy's answer.
    """
    if physical_to_logical is None:
        raise ValueError(NOTHING)
    given = array_of(physical_to_logical)
    expected = [case.layers, case.devices * case.slots]
    if list(given.shape) != expected:
        raise ValueError(
            f"the balancer's map from slots to experts has shape {list(given.shape)}; expected {expected} "
            "[layer, slot], with every slot of all devices"
        )
    return given.reshape(case.layers, case.devices, case.slots)


def replica_numbers(maps: np.ndarray) -> np.ndarray:
    """For every slot, how many slots before it hold the same expert: int64 [layer, slot].

    maps: integers [layer, slot].
    """
    order = np.argsort(maps, axis=1, kind="stable")
    experts = np.take_along_axis(maps, order, axis=1)
    place = np.arange(maps.shape[1])
    begins = np.ones(maps.shape, bool)
    begins[:, 1:] = experts[:, 1:] != experts[:, :-1]
    numbers = np.empty(maps.shape, np.int64)
    np.put_along_axis(numbers, order, place - np.maximum.accumulate(np.where(begins, place, 0), axis=1), axis=1)
    return numbers


def replica_counts(maps: np.ndarray, experts: int) -> np.ndarray:
    """How many slots hold each expert, int64 [layer, expert]; maps: integers [layer, slot]."""
    layers = len(maps)
    flat = (np.arange(layers)[:, None] * experts + maps).reshape(-1)
    return np.bincount(flat, minlength=layers * experts).reshape(layers, experts)


def logical_to_physical(maps: np.ndarray, experts: int) -> np.ndarray:
    """The slots of each expert in order, padded with -1: int64 [layer, expert, most replicas of any expert].

    maps: integers [layer, slot].
    """
    layers, slots = maps.shape
    slots_of = np.full((layers, experts, int(replica_counts(maps, experts).max())), -1, np.int64)
    slots_of[np.arange(layers)[:, None], maps, replica_numbers(maps)] = np.arange(slots)
    return slots_of


def loads_of_slots(loads: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """An expert's whole tokens divided over its slots; the first slots get the remainder.

    loads: integers [..., layer, expert]; maps: integers [layer, slot]. Returns int64 [..., layer, slot]: the loads of
    an expert's slots sum exactly to the expert's load.
    """
    rows = np.arange(len(maps))[:, None]
    loads = loads.astype(np.int64)[..., rows, maps]
    whole, rest = np.divmod(loads, replica_counts(maps, int(maps.max()) + 1)[rows, maps])
    return whole + (replica_numbers(maps) < rest)
