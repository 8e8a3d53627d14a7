"""What a process has used so far, from Linux's /proc; zeros where the system does not tell."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path


def seconds_and_threads(process: int) -> tuple[float, int]:
    """Processor seconds of a process (its own and the kernel's for it), and its number of threads."""
    with suppress(OSError, IndexError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(fields[17])
    return 0.0, 0


def resident_memory(process: int) -> int:
    """Bytes of memory that a process has in use now, with its libraries."""
    pages = 0
    with suppress(OSError):
        # Its first thread may have ended, and then tells nothing of what the others have.
        for thread in os.listdir(f"/proc/{process}/task"):
            pages = max(pages, int(Path(f"/proc/{process}/task/{thread}/statm").read_text().split()[1]))
            if pages:
                break
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_memory(process: int) -> int:
    """The most bytes of address space that a process ever had; the memory limit counts these."""
    with suppress(OSError):
        if peak := re.search(r"^VmPeak:\s*(\d+) kB$", Path(f"/proc/{process}/status").read_text(), re.MULTILINE):
            return int(peak[1]) * 1024
    return 0
