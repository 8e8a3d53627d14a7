"""What passes between numpy and a balancer that works on torch tensors."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


def handed_over(array: np.ndarray) -> Any:
    """An array as a balancer takes it: a torch tensor on the CPU where torch is loaded, else the array itself.

    A balancer that needs torch has imported it. So one in numpy gets numpy where torch is installed, too: the same at
    home as on the platform, which has no torch. The tensor shares the array's memory.
    """
    torch = sys.modules.get("torch")
    return array if torch is None else torch.from_numpy(np.ascontiguousarray(array))


def array_of(value: Any) -> np.ndarray:
    """A balancer's or an engine's value as an array: of a torch tensor on any device, an array, or lists."""
    return np.asarray(value.detach().cpu().numpy() if is_tensor(value) else value)


def like(array: np.ndarray, model: Any) -> Any:
    """An array as a tensor on the CPU where the model, something that an engine handed over, is one; else as it is."""
    return sys.modules["torch"].from_numpy(np.ascontiguousarray(array)) if is_tensor(model) else array


def is_tensor(value: Any) -> bool:
    """Whether a value is a torch tensor; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)
