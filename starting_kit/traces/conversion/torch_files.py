"""Files of torch.save, read without torch: an unpickler that knows a closed list of classes, and checked views."""

from __future__ import annotations

import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from placement.errors import OrganizerError

from .file_errors import unreadable
from .recording import counted

DTYPES = {"Long": "i8", "Int": "i4", "Short": "i2", "Char": "i1", "Byte": "u1", "Bool": "?"}
DTYPES |= {"Double": "f8", "Float": "f4", "Half": "f2"}
# Tensors of these have no storage class of their own: torch names the dtype beside the bytes.
NAMED = {"uint16": "u2", "uint32": "u4", "uint64": "u8"}
UNTYPED = ("torch.storage", "UntypedStorage")
BFLOAT = "bfloat16 tensors hold whole numbers only to 256"


class _Refused(Exception):
    """What a file needs and this reader does not support, with the next step."""


class _Kind(NamedTuple):
    """A storage class or a dtype of torch; code: of numpy, None for bytes whose dtype is named elsewhere."""

    code: str | None


class _Storage(NamedTuple):
    """The elements of one or more tensors: the bytes of a member of the archive."""

    data: bytes
    kind: _Kind


class _Function(NamedTuple):
    """A function of torch that a pickle may call. A tuple, so that no pickle can put another one in its place."""

    call: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        return self.call(*arguments)


class _Unpickler(pickle.Unpickler):
    """Reads data.pkl of an archive. Nothing is imported: what a pickle may name is in `find_class`."""

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        # What is not compressed takes no more memory than the file has bytes.
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise _Refused("compressed members", "save it with torch.save, which compresses nothing")
        super().__init__(archive.open(f"{folder}/data.pkl"))
        self._archive, self._folder = archive, folder
        self._data: dict[str, bytes] = {}
        order = f"{folder}/byteorder"
        self._big = order in archive.namelist() and archive.read(order) == b"big"

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Function(self._tensor)
        if (module, name) == ("torch._utils", "_rebuild_tensor_v3"):
            return _Function(self._tensor_of_dtype)
        if (module, name) == UNTYPED:
            return _Kind(None)
        kind = name.removesuffix("Storage")
        if module in ("torch", "torch.storage") and name in (*(f"{key}Storage" for key in DTYPES), *NAMED):
            return _Kind(NAMED.get(name) or DTYPES[kind])
        if module.startswith("torch") and kind.lower() == "bfloat16":
            raise _Refused(f"a tensor of bfloat16: {BFLOAT}", "save the counts as they were counted, in int32 or int64")
        if "sparse" in name:
            raise _Refused("a sparse tensor", "save tensor.to_dense()")
        raise _Refused(f"an object of {module}.{name}", "save tensors, numbers, texts, lists and mappings of them only")

    def persistent_load(self, pid: Any) -> _Storage:
        # The device that a storage was on, and its size in elements, say nothing that the bytes do not.
        _, kind, key, *_ = pid
        if not isinstance(kind, _Kind) or not isinstance(key, str):
            raise ValueError(f"storage {pid!r}")
        if key not in self._data:
            self._data[key] = self._archive.read(f"{self._folder}/data/{key}")
        return _Storage(self._data[key], kind)

    def _tensor(
        self, storage: _Storage, offset: int, sizes: Any, strides: Any, *rest: Any, kind: _Kind | None = None
    ) -> np.ndarray:
        """The view of a storage. rest: requires_grad, hooks and, where not empty, what changes the values."""
        if len(rest) > 2 and rest[2]:
            raise _Refused(f"a tensor with {', '.join(map(str, rest[2]))}", "save tensor.clone()")
        code = (kind or storage.kind).code
        if code is None:
            raise ValueError("a tensor without a dtype")
        dtype = np.dtype(code).newbyteorder(">" if self._big else "<")
        whole = np.frombuffer(storage.data[: len(storage.data) // dtype.itemsize * dtype.itemsize], dtype)
        numbers = [offset, *sizes, *strides]
        if len(sizes) != len(strides) or any(type(number) is not int or number < 0 for number in numbers):
            raise ValueError(f"a tensor of sizes {list(sizes)}, strides {list(strides)}, offset {offset}")
        last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
        if 0 in sizes:
            return np.empty(sizes, dtype)
        if last >= len(whole):
            raise ValueError(f"a tensor reaches element {last} of {counted(len(whole), 'element')}")
        if math.prod(sizes) > len(whole):
            got = f"a tensor of sizes {list(sizes)} that repeats {counted(len(whole), 'element')}"
            raise _Refused(got, "save tensor.contiguous()")
        steps = [stride * dtype.itemsize for stride in strides]
        return np.lib.stride_tricks.as_strided(whole[offset:], sizes, steps, writeable=False)

    def _tensor_of_dtype(
        self, storage: _Storage, offset: int, sizes: Any, strides: Any, grad: Any, hooks: Any, kind: _Kind, *rest: Any
    ) -> np.ndarray:
        return self._tensor(storage, offset, sizes, strides, grad, hooks, *rest, kind=kind)


def read_torch(path: Path) -> Any:
    """What a .pt file holds, its tensors as arrays that cannot be written. No code of the file is run.

    Raises OrganizerError, also for objects that are no tensors, numbers, texts, lists or mappings.
    """
    if not zipfile.is_zipfile(path):
        raise OrganizerError(
            "the file is not of the form that torch saves since 1.6",
            got="no zip archive",
            expected="a complete .pt file of torch.save, a zip archive with data.pkl",
            next_step="copy the file again, or load it with the torch that wrote it and save it with torch >= 1.6",
            where=path.name,
        )
    try:
        with zipfile.ZipFile(path) as archive:
            pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise ValueError(f"{len(pickles)} members data.pkl")
            return _Unpickler(archive, pickles[0].removesuffix("/data.pkl")).load()
    except _Refused as refused:
        got, next_step = refused.args
        expected = "tensors of integers or floats, numbers, texts, lists and mappings"
        raise OrganizerError(
            "the file holds objects that this reader does not support", got, expected, next_step, path.name
        ) from None
    except zipfile.BadZipFile as error:
        damaged = unreadable(path, error)
        if "CRC" in str(error):
            damaged.next_step += ", or save it again after torch.serialization.set_crc32_options(True)"
        raise damaged from error
    except Exception as error:
        # zipfile and pickle raise nearly anything on a damaged file.
        raise unreadable(path, error) from error
