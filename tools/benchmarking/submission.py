"""What a submission costs: processor time of both steps, and the bytes that are sent, kept and held in memory."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarking.command import command_costs
from benchmarking.memory import command_peak
from benchmarking.whole_grid import POLICY, ROOT

# By the platform's worker, whatever the scoring program takes, where a page is shown: it looks for it every 5 s.
LEAST_SCORING_SECONDS = 5.0
# Starting and ending a container, twice a submission, the slower of those measured.
CONTAINER_SECONDS = 1.7
DAY_SECONDS = 86_400
# What Codabench lets a user store.
QUOTA_BYTES = 15e9


def submission_costs(run: Mapping[str, Any], results: Path, reference: Path, output: Path) -> dict[str, Any]:
    """One row: costs of the ingestion step, as measured by grid_costs, and of scoring what it left in `results`.

    Kept are, zipped, what was sent and what both steps leave, and as they are the page and what was printed, as
    Codabench keeps them. Raises CalledProcessError when the results cannot be scored.
    """
    command = [sys.executable, str(ROOT / "scoring_program" / "scoring.py"), "--results", str(results)]
    command += ["--reference", str(reference), "--output", str(output)]
    costs, printed = command_costs(command)
    parts = {
        "sent_bytes": zipped_bytes(POLICY),
        "results_bytes": zipped_bytes(results),
        "scored_bytes": zipped_bytes(output),
        "page_bytes": (output / "detailed_results.html").stat().st_size,
        "printed_bytes": run["printed_bytes"] + len(printed),
    }
    return {
        "cases": run["cases"],
        "jobs": run["jobs"],
        "ingestion_seconds": run["processor_seconds"],
        "scoring_seconds": costs["processor_seconds"],
        "processor_seconds": run["processor_seconds"] + costs["processor_seconds"],
        "wall_seconds": run["wall_seconds"] + costs["wall_seconds"],
        "worker_seconds": worker_seconds(run["wall_seconds"], costs["wall_seconds"]),
        **parts,
        "kept_bytes": sum(parts.values()),
        "peak_bytes": run["peak_bytes"],
        "scoring_peak_bytes": command_peak(command),
    }


def worker_seconds(ingestion: float, scoring: float) -> float:
    """For how long a submission holds a worker, from the wall-clock seconds of its two steps."""
    return ingestion + max(scoring, LEAST_SCORING_SECONDS) + 2 * CONTAINER_SECONDS


def day_rows(costs: Mapping[str, Any], submissions: int) -> list[dict[str, str]]:
    """What one submission costs, and so many a day, as rows of text: `what`, `one`, `day`."""

    def busy(key: str, unit: str) -> dict[str, str]:
        return {"one": f"{costs[key]:.1f} s", "day": f"{submissions * costs[key] / DAY_SECONDS:.2f} {unit}, never idle"}

    def size(key: str) -> dict[str, str]:
        return {"one": megabytes(costs[key]), "day": f"{submissions * costs[key] / 1e9:.2g} GB"}

    def memory(key: str) -> dict[str, str]:
        return {"one": "unknown" if costs[key] is None else megabytes(costs[key]), "day": "the same, of each worker"}

    year, quota = 365 * submissions * costs["kept_bytes"] / 1e12, int(QUOTA_BYTES // costs["kept_bytes"])
    rows = {
        f"processor time of ingestion, {costs['cases']} cases": busy("ingestion_seconds", "cores"),
        "processor time of scoring": busy("scoring_seconds", "cores"),
        f"a worker is held, {costs['jobs']} jobs": busy("worker_seconds", "workers"),
        "sent by the participant": size("sent_bytes"),
        "kept: results of ingestion, zipped": size("results_bytes"),
        "kept: results of scoring, zipped": size("scored_bytes"),
        "kept: the page": size("page_bytes"),
        "kept: what both programs printed": size("printed_bytes"),
        "kept, all": size("kept_bytes"),
        "kept in a year": {"one": "", "day": f"{year:.1f} TB"},
        "fill a user's 15 GB": {"one": f"{quota} submissions", "day": ""},
        "memory of ingestion, at most": memory("peak_bytes"),
        "memory of scoring, at most": memory("scoring_peak_bytes"),
    }
    return [{"what": what, **row} for what, row in rows.items()]


def megabytes(size: float) -> str:
    """Bytes in MB, with two digits where they are few."""
    return f"{size / 1e6:.0f} MB" if size >= 10e6 else f"{size / 1e6:.2g} MB"


def zipped_bytes(folder: Path) -> int:
    """Bytes of a folder's files in a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
            target.write(path, path.relative_to(folder))
    return len(buffer.getvalue())
