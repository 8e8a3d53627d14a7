"""Reads tables of whole numbers from text files. No number is rounded silently."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from .counts import float_note

# Floats below hold every whole number.
EXACT = 2**53


def whole_table(path: Path, **how: Any) -> tuple[np.ndarray, list[str]]:
    """int64 [row, column] of a file, an empty one without rows, and the note on numbers that are written as floats.

    how: what np.loadtxt is told of the file. Numbers may be quoted; # begins no comment, so that no row is lost. Raises
    ValueError, whose text is one line, for what is no table of them.
    """
    how = {"quotechar": '"', "encoding": "utf-8-sig", "comments": None} | how
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "loadtxt: input contained no data")
        # numpy takes 1.7 for 1, and warns of it.
        warnings.simplefilter("error", DeprecationWarning)
        try:
            return np.loadtxt(path, np.int64, ndmin=2, **how), []
        except ValueError as error:
            refused = ValueError(str(error).splitlines()[0].rstrip("."))
        try:
            values = np.loadtxt(path, np.float64, ndmin=2, **how)
        except ValueError:
            raise refused from None
    # So that NaN is wrong, too.
    wrong = ~((np.abs(values) < EXACT) & (values == np.floor(values)))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(f"{values[row, column]} in data row {row}, column {column} (from 0)")
    return values.astype(np.int64), float_note(values.dtype, 0)
