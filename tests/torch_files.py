"""Files as torch.save writes them, made without torch: its classes stand in as empty ones while a file is pickled."""

from __future__ import annotations

import io
import pickle
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

STORAGES = {"int64": "Long", "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool"}
STORAGES |= {"float64": "Double", "float32": "Float", "float16": "Half"}


class View(NamedTuple):
    """A tensor of a storage, [offset, sizes, strides] in elements; kind: the storage's class."""

    storage: np.ndarray
    offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    kind: str = "Long"
    extra: tuple[Any, ...] = ()


class Call(NamedTuple):
    """What a file makes by calling something of torch with arguments."""

    module: str
    name: str
    arguments: tuple[Any, ...]


def save(path: Path, content: Any, byteorder: str = "little", folder: str = "archive") -> Path:
    """A file of `content`, its arrays as tensors; returns path."""
    storages: list[np.ndarray] = []
    modules: dict[str, ModuleType] = {name: ModuleType(name) for name in ("torch", "torch._utils", "torch.storage")}

    def known(module: str, name: str) -> Any:
        home = modules.setdefault(module, ModuleType(module))
        if not hasattr(home, name):
            setattr(home, name, type(name, (), {"__module__": module, "__qualname__": name}))
        return getattr(home, name)

    class Pickler(pickle.Pickler):
        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, np.ndarray):
                kind = STORAGES[value.dtype.name]
                strides = tuple(step // value.itemsize for step in value.strides)
                value = View(value, 0, value.shape, strides, kind)
            if isinstance(value, View):
                tensor = (_Stored(value.storage, value.kind), value.offset, value.sizes, value.strides)
                return known("torch._utils", "_rebuild_tensor_v2"), (*tensor, False, OrderedDict(), *value.extra)
            if isinstance(value, Call):
                return known(value.module, value.name), value.arguments
            return NotImplemented

        def persistent_id(self, value: Any) -> Any:
            if not isinstance(value, _Stored):
                return None
            storages.append(value.values)
            kind = known("torch", f"{value.kind}Storage")
            return ("storage", kind, str(len(storages) - 1), "cpu", value.values.size)

    buffer = io.BytesIO()
    with mock.patch.dict(sys.modules, modules):
        sys.modules.update(modules)
        known("torch._utils", "_rebuild_tensor_v2")
        with mock.patch.dict(sys.modules, modules):
            Pickler(buffer, 2).dump(content)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{folder}/data.pkl", buffer.getvalue())
        archive.writestr(f"{folder}/byteorder", byteorder)
        for index, values in enumerate(storages):
            swapped = values.byteswap() if byteorder == "big" else values
            archive.writestr(f"{folder}/data/{index}", swapped.tobytes("A"))
    return path


class _Stored:
    def __init__(self, values: np.ndarray, kind: str) -> None:
        self.values, self.kind = values, kind
