"""Reads decisions.npz: what the policy of a finished run decided in each case."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..decisions import NAMES, Decision, Sizes, unpack
from ..errors import OrganizerError
from .result_files import DECISIONS_FORMAT

FILE = "decisions.npz"
WRITTEN = "a file that the ingestion program wrote"


def read_decisions(folder: Path, key: str) -> tuple[Sizes, list[Decision]]:
    """The sizes and decisions of a case from a run's folder; key: as `Case.key` gives it.

    The file is taken as the run's own: hold its hash against results.json before, where somebody else had it. Raises
    OrganizerError for a file that is missing, of the wrong format or damaged, and for a case that it does not hold.
    """
    path = folder / FILE
    try:
        with np.load(path, allow_pickle=False) as archive:
            number = archive["format"].item() if "format" in archive.files else None
            arrays = {name: archive[f"{key}/{name}"] for name in NAMES if f"{key}/{name}" in archive.files}
        if number == DECISIONS_FORMAT and arrays:
            return unpack(arrays)
    except FileNotFoundError:
        next_step = "name the folder of a run; kits that wrote results.json of format 3 or less wrote no such file"
        raise OrganizerError("there is no log of decisions", "no such file", WRITTEN, next_step, str(path)) from None
    # numpy and zipfile raise nearly anything on a damaged file.
    except Exception as error:
        got, next_step = f"{type(error).__name__}: {error}", "copy the file again from where the run wrote it"
        raise OrganizerError("the log of decisions cannot be read", got, WRITTEN, next_step, str(path)) from None
    if number != DECISIONS_FORMAT:
        got, expected = f"format {number}", f"format {DECISIONS_FORMAT}"
        next_step = "use the kit that the run was made with, or run the policy again"
        raise OrganizerError("the log of decisions has the wrong format", got, expected, next_step, str(path))
    what, expected = "the log of decisions does not hold the case", "an entry: only cases that are ok have one"
    raise OrganizerError(what, f"no {key}", expected, "name a case of the run that is ok", str(path))
