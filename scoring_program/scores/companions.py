"""The files that the page draws: a run's curves and explanations, and the reference's curves.

No score depends on these files. Where a file is missing or broken, the page shows a note and draws less.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .comparison import Row
from .formats import EXPLAIN_FORMAT, RUN_AGAIN, check_format
from .problems import FileError, reason
from .regular_file import open_regular, read_regular

# Bytes per file: several times what 25 cases of full size take.
LARGEST = 32 * 1024**2
RUN = ("par", "transmit", "layer_par")
REFERENCE = (
    *("ds_eplb/par", "ds_eplb/transmit", "ds_eplb/layer_par", "ds_eplb/heat_map"),
    *("static/par", "static/transmit", "clairvoyant/par", "clairvoyant/transmit"),
)
Series = dict[str, np.ndarray]


class Companions(NamedTuple):
    """Curves of run and reference by `<model>/<dataset>/<ep>/...`, explanations by `<model>/<dataset>/<ep>`.

    notes: a sentence for each file that could not be read."""

    series: Series
    explanations: dict[str, Any]
    reference: Series
    notes: list[str]


# Of hidden traces: each case says that it shows nothing more.
NOTHING = Companions({}, {}, {}, [])


def read_companions(results: Path, reference: Path, rows: Sequence[Row]) -> Companions:
    """Read the companion files of the rows' cases from the folders of results and reference."""
    notes: list[str] = []
    cases = [case_key(row) for row in rows]
    run_names, reference_names = ([f"{case}/{name}" for case in cases for name in names] for names in (RUN, REFERENCE))
    return Companions(
        _read_series(results / "series.npz", "the run's series.npz", run_names, notes),
        _read_explanations(results / "explain.json", notes),
        _read_series(reference / "series.npz", "the reference's series.npz", reference_names, notes),
        notes,
    )


def case_key(row: Row) -> str:
    """The key of a case in the companion files."""
    redundancy = "" if row["redundant_experts"] == row["ep"] else f"+{row['redundant_experts']}"
    return f"{row['model']}/{row['dataset']}/{row['ep']}{redundancy}"


def _read_series(path: Path, name: str, keys: Iterable[str], notes: list[str]) -> Series:
    series, left = {}, LARGEST
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            members = {member.filename: member for member in archive.infolist()}
            for key in keys:
                if f"{key}.npy" not in members:
                    continue
                data = _unpacked(archive, members[f"{key}.npy"], left)
                array = _array(data, left)
                left -= len(data) if array is None else max(len(data), array.nbytes)
                if array is not None and array.size and np.isfinite(array).all():
                    series[key] = array
    except Exception as error:
        # zipfile and numpy let errors of many kinds through.
        notes.append(f"{name} cannot be read ({_cause(error)}). The page does not draw the file's curves.")
        return {}
    return series


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, left: int) -> bytes:
    """Read at most `left` bytes, whatever size the archive states. Raises ValueError for more."""
    # Of the other methods zipfile unpacks whole blocks, however many bytes are asked for.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("neither stored nor deflated")
    with archive.open(member) as file:
        data = file.read(left + 1)
    _check_size(len(data), left)
    return data


def _array(data: bytes, left: int) -> np.ndarray | None:
    """An array of numbers as float64; None for another type. Raises ValueError for more than `left` bytes."""
    file = io.BytesIO(data)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("not version 1.0 of numpy's format")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.kind not in "iuf":
        return None
    # Before anything of that size is made.
    _check_size(math.prod(shape) * 8, left)
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False).astype(np.float64, copy=False)


def _check_size(size: int, left: int) -> None:
    if size > left:
        raise ValueError(f"more than {LARGEST} bytes")


def _read_explanations(path: Path, notes: list[str]) -> dict[str, Any]:
    try:
        content = json.loads(read_regular(path, LARGEST))
        if not isinstance(content, dict):
            raise ValueError("no JSON object")
        check_format(content, EXPLAIN_FORMAT, _other_format, RUN_AGAIN)
        if not isinstance(content.get("cases"), dict):
            raise ValueError("no cases")
    except FileError as error:
        notes.append(f"{error} Until then no case is explained.")
        return {}
    except Exception as error:
        notes.append(f"The run's explain.json cannot be read ({_cause(error)}). The page explains no case.")
        return {}
    return content["cases"]


def _other_format(what: str, got: str, expected: str, next_step: str) -> FileError:
    return FileError("failed", "the run's explain.json", what, got, expected, next_step)


def _cause(error: Exception) -> str:
    return reason(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"[:200]
