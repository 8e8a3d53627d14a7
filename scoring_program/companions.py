"""What the page draws from: the curves and explanations of a run, and the reference's curves.

No score depends on these files. One that is missing or broken leaves a note for the page, and less to draw.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from comparison import Row, reason

# Many times what 25 cases of full size take; a small archive may unpack to anything.
LARGEST = 128 * 1024**2
Series = dict[str, np.ndarray]


class Companions(NamedTuple):
    """Curves of the run and of the reference by `<model>/<dataset>/<ep>/...`, explanations by `<model>/<dataset>/<ep>`,
    and what could not be read."""

    series: Series
    explanations: dict[str, Any]
    reference: Series
    notes: list[str]


NOTHING = Companions({}, {}, {}, [])


def read_companions(results: Path, reference: Path) -> Companions:
    """Read what there is in the folders of the results and of the reference."""
    notes: list[str] = []
    return Companions(
        _read_series(results / "series.npz", "the run's series.npz", notes),
        _read_explanations(results / "explain.json", notes),
        _read_series(reference / "series.npz", "the reference's series.npz", notes),
        notes,
    )


def case_key(row: Row) -> str:
    """How the companions call a case."""
    return f"{row['model']}/{row['dataset']}/{row['ep']}"


def _read_series(path: Path, name: str, notes: list[str]) -> Series:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > LARGEST:
                raise ValueError(f"more than {LARGEST} bytes")
            arrays = {member.removesuffix(".npy"): _array(archive.read(member)) for member in archive.namelist()}
    except Exception as error:
        # zipfile and numpy let errors of many kinds through.
        notes.append(f"{name} cannot be read ({_cause(error)}), so its curves are not drawn.")
        return {}
    return {key: array for key, array in arrays.items() if array is not None}


def _array(data: bytes) -> np.ndarray | None:
    """An array of finite numbers, float64; None for anything else."""
    array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    if array.dtype.kind not in "iuf" or not array.size:
        return None
    array = array.astype(np.float64)
    return array if np.isfinite(array).all() else None


def _read_explanations(path: Path, notes: list[str]) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ValueError(f"more than {LARGEST} bytes")
        content = json.loads(data)
        if not isinstance(content, dict):
            raise ValueError("no JSON object")
    except Exception as error:
        notes.append(f"the run's explain.json cannot be read ({_cause(error)}), so no case is explained.")
        return {}
    return content


def _cause(error: Exception) -> str:
    return reason(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"[:200]
