"""The files that a run leaves for the scorer, each whole or not at all, and signed."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..traces.whole_file import write_whole
from .signature import sign

FILES = ("results.json", "results.sig", "series.npz", "explain.json", "decisions.npz")
# One more whenever readers of a file must change; 1 had no number.
RESULTS_FORMAT, EXPLAIN_FORMAT, DECISIONS_FORMAT = 4, 3, 1


def write_results(
    output: Path,
    content: Mapping[str, Any],
    series: Mapping[str, np.ndarray],
    explanations: Mapping[str, Any],
    decisions: Mapping[str, np.ndarray],
    times: Callable[[], Mapping[str, float]],
    key: bytes,
) -> None:
    """Write FILES: first the companions that results.json names by hash, and its signature last.

    times: called when all else is ready, for the fields that say when the run was.
    """
    companions = {
        "series.npz": write_series(output / "series.npz", series),
        "explain.json": write_json(output / "explain.json", {"format": EXPLAIN_FORMAT, "cases": explanations}, None),
        "decisions.npz": write_series(
            output / "decisions.npz", {"format": np.array(DECISIONS_FORMAT, "<i8"), **decisions}
        ),
    }
    # Of the bytes in memory: another program may write into the output on the platform.
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in companions.items()}
    data = write_json(output / "results.json", {"format": RESULTS_FORMAT, **content, "companions": hashes, **times()})
    write_whole(output / "results.sig", f"{sign(data, key)}\n".encode("ascii"))


def write_json(path: Path, content: Any, indent: int | None = 1) -> bytes:
    """Write strict JSON and return its bytes; the file appears whole or not at all.

    indent: as of json.dumps; None, for what nobody reads line by line, takes a third of the time.
    """
    return write_whole(path, (json.dumps(content, indent=indent, allow_nan=False) + "\n").encode("utf-8"))


def write_series(path: Path, arrays: Mapping[str, np.ndarray]) -> bytes:
    """Write a compressed .npz and return its bytes, which depend on the arrays only (numpy's hold the time of day)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy")
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.getvalue())
    return write_whole(path, buffer.getvalue())
