"""What a command costs: seconds, page faults, and what it printed."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Mapping
from typing import Any

from benchmarking.clock import children_seconds


def command_costs(command: list[str], environment: Mapping[str, str] | None = None) -> tuple[dict[str, Any], str]:
    """Wall-clock and processor seconds and page faults of a command and all that it started, and what it printed.

    Raises CalledProcessError when the command's exit code is not 0.
    """
    faults, processor, began = _faults(), children_seconds(), time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    costs = {
        "wall_seconds": time.perf_counter() - began,
        "processor_seconds": children_seconds() - processor,
        "page_faults": _faults() - faults,
    }
    return costs, done.stdout


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
