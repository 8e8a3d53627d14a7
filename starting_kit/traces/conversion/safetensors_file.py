"""Files of safetensors: the length of a header, the header in JSON, and the bytes of every tensor one after another."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from placement.errors import OrganizerError

from .file_errors import unreadable

DTYPES = {"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1"}
DTYPES |= {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BOOL": "?"}
METADATA = "__metadata__"


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a file by their names, as arrays that cannot be written.

    Raises OrganizerError for a damaged file, and for dtypes that numpy does not have.
    """
    try:
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        if len(data) < 8 or length > len(data) - 8:
            raise ValueError(f"a header of {length} bytes in a file of {len(data)}")
        header = json.loads(data[8 : 8 + length])
        body = memoryview(data)[8 + length :]
        tensors = {name: fields for name, fields in header.items() if name != METADATA}
        for name, fields in tensors.items():
            if fields["dtype"] not in DTYPES:
                raise _other_dtype(name, fields["dtype"], path)
        return {name: _tensor(body, fields) for name, fields in tensors.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise unreadable(path, error) from error


def _tensor(body: memoryview, fields: dict[str, Any]) -> np.ndarray:
    dtype, shape = np.dtype(DTYPES[fields["dtype"]]), fields["shape"]
    first, end = fields["data_offsets"]
    if any(type(number) is not int or number < 0 for number in (*shape, first, end)) or end > len(body):
        raise ValueError(f"a tensor of shape {shape} at bytes {first} .. {end} of {len(body)}")
    if end - first != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{end - first} bytes for a tensor of shape {shape}, dtype {fields['dtype']}")
    return np.frombuffer(body[first:end], dtype).reshape(shape)


def _other_dtype(name: str, dtype: Any, path: Path) -> OrganizerError:
    got, expected = f"{dtype} of {name}", "integers"
    next_step = "save the counts as they were counted, in int32 or int64"
    return OrganizerError("the tensor's dtype is not read", got, expected, next_step, path.name)
