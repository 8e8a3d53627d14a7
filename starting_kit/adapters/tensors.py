"""Converts between numpy arrays and the torch tensors that a balancer works on."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


def handed_over(array: np.ndarray) -> Any:
    """An array as a balancer takes it: a torch tensor on the CPU where torch is loaded, else the array itself.

    A balancer that needs torch has imported torch. So a balancer written in numpy gets numpy also where torch is
    installed: at home as on the platform, which has no torch. The tensor shares the array's memory.
    """
    torch = sys.modules.get("torch")
    return array if torch is None else torch.from_numpy(np.ascontiguousarray(array))


def array_of(value: Any) -> np.ndarray:
    """The value of a balancer or an engine as an array: from a torch tensor on any device, an array, or lists."""
    return np.asarray(value.detach().cpu().numpy() if is_tensor(value) else value)


def like(array: np.ndarray, model: Any) -> Any:
    """An array as a CPU tensor where `model` (a value from the engine) is a tensor; else the array itself."""
    return sys.modules["torch"].from_numpy(np.ascontiguousarray(array)) if is_tensor(model) else array


def is_tensor(value: Any) -> bool:
    """Whether a value is a torch tensor. Does not import torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)
