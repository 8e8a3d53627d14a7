"""What measured: the versions that results, references and benchmarks state."""

from __future__ import annotations

import platform

import numpy as np

from .. import SIMULATOR_VERSION


def versions() -> dict[str, str]:
    """The versions of the simulator, Python and numpy, and the kind of machine."""
    return {
        "simulator": SIMULATOR_VERSION,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
    }
