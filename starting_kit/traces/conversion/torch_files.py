"""Files of torch.save. torch is imported only here, and only when such a file is read."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from placement.errors import OrganizerError

from .file_errors import pickled, unreadable


def read_torch(path: Path, allow_pickle: bool) -> Any:
    """What a .pt file holds, its tensors as arrays. Raises OrganizerError, also when torch is not installed."""
    try:
        import torch
    except ImportError as error:
        raise OrganizerError(
            "reading a .pt file needs torch",
            got="no torch in this Python",
            expected="torch 2 or later",
            next_step='run `pip install "torch>=2"`, or export the same keys as .npz or .json',
            where=path.name,
        ) from error
    try:
        loaded = _load(torch, path, allow_pickle)
    except pickle.UnpicklingError as error:
        raise (unreadable(path, error) if allow_pickle else pickled(path)) from error
    except Exception as error:
        # torch, zipfile and pickle raise nearly anything on a damaged file.
        raise unreadable(path, error) from error
    return _with_arrays(torch, loaded)


def _load(torch: Any, path: Path, allow_pickle: bool) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        if not allow_pickle:
            raise
        return torch.load(path, map_location="cpu", weights_only=False)


def _with_arrays(torch: Any, value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().numpy()
    if isinstance(value, dict):
        return {key: _with_arrays(torch, item) for key, item in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], (dict, torch.Tensor)):
        return [_with_arrays(torch, item) for item in value]
    return value
