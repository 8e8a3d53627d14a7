"""Made-up companions of results and reference, for tests of the page: curves, heat maps and explanations."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

import scoring
from score_files import FORMAT, reference, results_of, write, write_results

GRID = {"name": "made-up", "case_seconds": 60, "hidden": False}
MODELS = {"DS-R1": (58, (32, 64, 128, 256)), "Qwen3": (94, (32, 64, 128))}
BINS = 64


def large_reference() -> dict[str, Any]:
    """A reference with the 25 cases of the official grid and both yardsticks."""
    row = reference()["cases"][0] | {"par_p50": 1.2, "par_p95": 1.8, "par_p99": 2.1}
    row |= {"static_mean_par": 2.0, "clairvoyant_mean_par": 1.1}
    sets = {"DS-R1": ("ShareGPT", "WildChat", "LmSys", "Mix"), "Qwen3": ("ShareGPT", "WildChat", "LmSys")}
    names = [(model, dataset, ep) for model in sets for dataset in sets[model] for ep in MODELS[model][1]]
    cases = [
        row | {"model": model, "dataset": dataset, "ep": ep, "redundant_experts": ep} for model, dataset, ep in names
    ]
    return FORMAT | {"cases": cases}


def series_bytes(arrays: dict[str, Any]) -> bytes:
    """An .npz of arrays."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: np.asarray(array) for name, array in arrays.items()})
    return buffer.getvalue()


def curves(content: dict[str, Any], iterations: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Curves of the results and of the reference for every case."""
    generator = np.random.default_rng(7)
    own, theirs = {}, {}
    for row in content["cases"]:
        key, layers = f"{row['model']}/{row['dataset']}/{row['ep']}", MODELS[row["model"]][0]
        for place, series in (("", own), ("/ds_eplb", theirs)):
            series[f"{key}{place}/par"] = 1 + generator.random(iterations)
            series[f"{key}{place}/transmit"] = generator.integers(0, 9, iterations)
            series[f"{key}{place}/layer_par"] = 1 + generator.random(layers)
        for name in ("static", "clairvoyant"):
            theirs[f"{key}/{name}/par"] = 1 + generator.random(iterations)
        theirs[f"{key}/ds_eplb/heat_map"] = (1 + 3 * generator.random((layers, BINS))).astype(np.float32)
    return own, theirs


def explanation(row: dict[str, Any], iterations: int) -> dict[str, Any]:
    """A case's entry of explain.json."""
    generator = np.random.default_rng(11)
    layers = [
        {"layer": layer, "mean_par": 2.5, "iteration": 20 + layer, "par": 3.25, "device": 5, "device_load": 325.0}
        | {"mean_load": 100.0, "experts": [{"expert": 9, "hotness": 300, "replicas": 2}]}
        for layer in (3, 1, 2)
    ]
    window = iterations // 5
    windows = [
        {"first_iteration": first, "last_iteration": first + window - 1, "mean_par": 2.0, "layers": layers}
        for first in (1, window + 1, 2 * window + 1)
    ]
    loads = (2 * generator.random((2, row["ep"]))).round(4).tolist()
    redeployment = {"call": 1, "first_iteration": 30, "last_iteration": 80, "changed": 4000, "layer": 3}
    calls = [
        {"iteration": call, "listed": layers, "applied": layers, "changed": changed, "repeating_devices": 7}
        | {"par_before": before, "par_after": after}
        for call, layers, changed, before, after in ((30, 9, 4000, 2.5, 1.5), (200, 0, 0, 1.5, None))
    ]
    return {
        "fixed_iterations": 31,
        "untouched_layers": 0,
        "shifts": [0.0] * BINS,
        "calls": calls,
        "bin_starts": (np.linspace(0, iterations, BINS, endpoint=False).astype(int) + 1).tolist(),
        "heat_map": (1 + 3 * generator.random((MODELS[row["model"]][0], BINS))).round(4).tolist(),
        "costliest_windows": windows,
        "largest_redeployment": redeployment | {"loads_before": loads[0], "loads_after": loads[1]},
    }


def explanations(content: dict[str, Any], iterations: int) -> dict[str, Any]:
    """The cases of explain.json."""
    return {f"{row['model']}/{row['dataset']}/{row['ep']}": explanation(row, iterations) for row in content["cases"]}


def write_run(
    folder: Path,
    known: dict[str, Any],
    own: dict[str, Any] | bytes,
    theirs: dict[str, Any] | bytes | None,
    explained: Any,
    grid: Any = GRID,
    **changes: Any,
) -> Path:
    """Write signed results that equal a reference, apart from changed fields of each case, and both's companions."""
    explain = explained if isinstance(explained, bytes) else json.dumps(FORMAT | {"cases": explained}).encode()
    own = own if isinstance(own, bytes) else series_bytes(own)
    files = {"series.npz": own, "explain.json": explain, "decisions.npz": b"made-up decisions"}
    content = results_of(known)
    for row in content["cases"]:
        row |= changes
    content |= {"companions": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}}
    content |= {"grid": grid, "receipt": {"kit": "1.0.0"}}
    write_results(folder / "res", content, companions=files)
    write(folder / "ref" / "ds_eplb.json", known)
    write(
        folder / "ref" / "series.npz", theirs if isinstance(theirs, bytes) or theirs is None else series_bytes(theirs)
    )
    return folder


def page_of(folder: Path) -> str:
    """The page of a run that scores, whatever its companions are."""
    output = folder / "output"
    folders = ["--results", str(folder / "res"), "--reference", str(folder / "ref"), "--output", str(output)]
    assert scoring.main(folders) == 0
    assert (output / "scores.json").is_file()
    return (output / "detailed_results.html").read_text(encoding="utf-8")
