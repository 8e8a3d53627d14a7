"""Made-up results and reference, and one way to run the scoring program, for its tests."""

import hashlib
import hmac
import json
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import scoring
from scores.authenticity import PUBLISHED_KEY
from scores.comparison import REQUIRED_LAYERS

ROOT = Path(__file__).resolve().parent.parent
COST = {"balanced_compute_seconds": 60.0, "expert_bytes": 88_080_384, "bandwidth_bytes_per_second": 900_000_000_000.0}
FORMAT, RESULTS_FORMAT = {"format": 3}, {"format": 4}
COMPANIONS = {
    "series.npz": b"made-up curves",
    "explain.json": b'{"format": 3, "cases": {}}\n',
    "decisions.npz": b"made-up decisions",
}
SECONDS = {"started_seconds": 1_790_000_000.125, "duration_seconds": 12.5}
NAMES = ("DS-R1/made-up ep 32", "DS-R1/made-up ep 64", "Qwen3/made-up ep 32")


class Run(NamedTuple):
    """What a run of the scoring program left: exit code, printed lines, page, and scores.json if there is one."""

    code: int
    lines: list[str]
    page: str
    scores: dict[str, Any] | None


def reference() -> dict[str, Any]:
    """A reference of three cases."""
    measured = ((1.25, 40_000), (1.5, 60_000), (1.75, 90_000))
    rows = []
    for name, (mean_par, transmit_amount) in zip(NAMES, measured, strict=True):
        trace, ep = name.split(" ep ")
        model, dataset = trace.split("/")
        identity = {
            "model": model,
            "dataset": dataset,
            "ep": int(ep),
            "redundant_experts": int(ep),
            "groups": 1,
            "nodes": 1,
            "trace_sha256": model * 4,
            "simulator_version": "1.0.0",
        }
        grid = {"window": 128, "latency": 0, "cost": dict(COST)}
        rows.append(identity | grid | {"mean_par": mean_par, "transmit_amount": transmit_amount})
    return FORMAT | {"cases": rows}


def failure(what: str, where: str = "", got: str = "", expected: str = "", next_step: str = "") -> dict[str, str]:
    """The fields of a failure."""
    return {"where": where, "what": what, "got": got, "expected": expected, "next": next_step}


def stopped(status: str, what: str) -> dict[str, Any]:
    """Results of a run that measured nothing."""
    return RESULTS_FORMAT | {"status": status, "failure": failure(what), "cases": []}


def results_of(content: dict[str, Any]) -> dict[str, Any]:
    """Results in which every case measures exactly what a reference says."""
    ok = {"status": "ok", "policy_seconds": 1.25, "failure": None}
    rows = [deepcopy(row) | ok for row in content["cases"]]
    versions = {"simulator": content["cases"][0].get("simulator_version"), "python": "3.12.0"}
    companions = {name: hashlib.sha256(data).hexdigest() for name, data in COMPANIONS.items()}
    content = RESULTS_FORMAT | {"status": "scored", "failure": None, "grid": {"hidden": False}, "cases": rows}
    content["sandbox"] = {"mode": "required", "layers": list(REQUIRED_LAYERS)}
    return content | {"versions": versions, "companions": companions} | SECONDS


def results(**changes: Any) -> dict[str, Any]:
    """Results of the three cases; keywords change fields of the second case, `...` removes one."""
    content = results_of(reference())
    content["cases"][1] |= changes
    content["cases"][1] = {name: value for name, value in content["cases"][1].items() if value is not ...}
    return content


def failed_results() -> dict[str, Any]:
    """Results with two failing cases, as the ingestion program writes them."""
    unmeasured = {"mean_par": None, "transmit_amount": None}
    content = results(status="timeout", failure=failure("too slow", "call 2"), **unmeasured)
    content["cases"][2] |= {"status": "crashed", "failure": failure("no policy")} | unmeasured
    return content | {"status": "failed"}


def write(path: Path, content: Any) -> None:
    """Write content as a file: bytes and text as they are, None not at all, everything else as strict JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        # 1e999 is strict JSON and read as infinity.
        text = content if isinstance(content, str) else json.dumps(content).replace("Infinity", "1e999")
        path.write_text(text, encoding="utf-8")


def write_results(
    folder: Path, content: Any, key: bytes = PUBLISHED_KEY, companions: dict[str, bytes] = COMPANIONS
) -> None:
    """Write results.json with its companions, and sign whatever it holds."""
    for name, data in companions.items():
        write(folder / name, data)
    write(folder / "results.json", content)
    if content is not None:
        sign(folder, key)


def sign(folder: Path, key: bytes = PUBLISHED_KEY) -> None:
    """Sign results.json as it lies in a folder."""
    data = (folder / "results.json").read_bytes()
    write(folder / "results.sig", hmac.new(key, data, hashlib.sha256).hexdigest() + "\n")


def score(folder: Path, capsys: Any, results_content: Any, reference_content: Any = ...) -> Run:
    """Write signed results and a reference, and run the scoring program on them."""
    write_results(folder / "res", results_content)
    write(folder / "ref" / "ds_eplb.json", reference() if reference_content is ... else reference_content)
    return run_scoring(folder, capsys)


def run_scoring(folder: Path, capsys: Any) -> Run:
    """Run the scoring program in this process, into a folder that holds the files of an earlier run."""
    output = folder / "output"
    write(output / "scores.json", {"composite_score": 999.0})
    write(output / "detailed_results.html", "old page")
    code = scoring.main(["--results", str(folder / "res"), "--reference", str(folder / "ref"), "--output", str(output)])
    printed = capsys.readouterr()
    assert printed.err == ""
    return Run(code, printed.out.splitlines(), *left_in(output))


def left_in(output: Path) -> tuple[str, dict[str, Any] | None]:
    """Page and scores in an output folder, which holds nothing else."""
    assert {path.name for path in output.iterdir()} <= {"scores.json", "detailed_results.html"}
    page = (output / "detailed_results.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    scores = output / "scores.json"
    return page, json.loads(scores.read_text(encoding="utf-8")) if scores.exists() else None
