"""What is expected of an attack, and whether what it left agrees with that."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml

import honest
import learned
import stage
from placement.grid import Case, grid_from_mapping
from placement.replay import replay
from placement.results import measures
from placement.trace import Trace
from world import ATTACKS, KEY, PATIENCE, Run, grid_mapping, hotness

FILES = ("results.json", "series.npz", "explain.json", "decisions.npz", "results.sig")
LONGEST_LOG = 300_000
STATUSES = {"SAME": "scored", "NO GAIN": "scored", "FAIL": "failed", "REFUSED": "refused"}


@dataclass(frozen=True)
class Verdict:
    """What is expected of an attack, from verdicts.yaml; `leaks` where what it tries is open without Landlock,
    `call_seconds` the limit of one that hangs."""

    name: str
    does: str
    verdict: str
    attack: Any
    status: Any = None
    note: str = ""
    log: str = ""
    message: str = ""
    leaks: bool = False
    call_seconds: float = PATIENCE


def load_verdicts(lacks_landlock: bool) -> dict[str, Verdict]:
    """The expected verdicts by attack. Raises ValueError when they and the attacks do not fit together."""
    content = yaml.safe_load((ATTACKS / "verdicts.yaml").read_text(encoding="utf-8"))
    verdicts = {}
    for name, entry in content["attacks"].items():
        entry = dict(entry)
        entry.pop("needs", None)
        otherwise = entry.pop("without_landlock", None)
        if lacks_landlock and otherwise == "open":
            entry["leaks"] = True
        elif lacks_landlock and otherwise:
            entry |= otherwise
        verdicts[name] = Verdict(name, **entry)
        if verdicts[name].verdict not in STATUSES:
            raise ValueError(f"{name}: unknown verdict {verdicts[name].verdict}")
    there = {path.name for path in ATTACKS.iterdir() if path.is_dir() and path.name[0] not in "._"} | set(
        stage.BUILDERS
    )
    if there != set(verdicts):
        raise ValueError(f"attacks without a verdict, or the other way round: {sorted(there ^ set(verdicts))}")
    return verdicts


def read_results(run: Run) -> None:
    """Read the results and note everything about them that no submission may bring about."""
    output = run.folder / "output"
    if sorted(os.listdir(output)) != sorted(FILES):
        run.problems.append(f"the output holds {sorted(os.listdir(output))[:8]}")
    try:
        data = (output / "results.json").read_bytes()
        run.results = json.loads(data, parse_constant=_refuse_constant)
        run.companions = {name: (output / name).read_bytes() for name in FILES[1:-1]}
        if (
            output / "results.sig"
        ).read_text() != f"{hmac.new(bytes.fromhex(KEY), data, hashlib.sha256).hexdigest()}\n":
            run.problems.append("the signature is not the key's")
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in run.companions.items()}
        if run.results["companions"] != hashes:
            run.problems.append("the companions' hashes are not those of the files")
    except (OSError, ValueError, KeyError) as error:
        run.problems.append(f"results.json cannot be read: {type(error).__name__}: {error}")
        run.log += "\n(no results)"
        return
    texts = [value for value in leaves(run.results) if isinstance(value, str)]
    if any(not text.isprintable() for text in texts):
        run.problems.append("a text of the results is not printable")
    if any(isinstance(value, float) and not math.isfinite(value) for value in leaves(run.results)):
        run.problems.append("a number of the results is not finite")


def leaves(value: Any) -> Iterator[Any]:
    """All texts and numbers in a JSON value."""
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from leaves(item)
    else:
        yield value


def judge(run: Run, verdict: Verdict, control: Run) -> None:
    """Add to a run's problems what is not as its verdict says, and what must hold for every submission."""
    problems, results = run.problems, run.results
    status = STATUSES[verdict.verdict]
    if results.get("status") != status:
        problems.append(f"expected {status}, got {run.got}: {results.get('failure')}")
    if run.exit_code != (0 if status == "scored" else 1):
        problems.append(f"exit code {run.exit_code}")
    check_log(run, verdict)
    rows, expected = results.get("cases", []), control.results.get("cases", [])
    if verdict.verdict == "NO GAIN":
        problems += gains_of_memory(rows)
    if verdict.verdict == "SAME":
        if without_times(results, verdict.note) != without_times(control.results, verdict.note):
            problems.append("the results are not the honest ones")
        if run.companions != control.companions:
            problems.append("the curves or decisions are not the honest ones")
        if verdict.note and verdict.note not in " ".join(results.get("notes", [])):
            problems.append(f"no note: {verdict.note}")
    if status == "failed":
        allowed = verdict.status if isinstance(verdict.status, list) else [verdict.status]
        failed = [row for row in rows if row["status"] != "ok"]
        if not failed or any(row["status"] not in allowed for row in failed):
            problems.append(
                f"expected cases {' or '.join(map(str, allowed))}, got {run.got}: {rows and rows[0]['failure']}"
            )
        if any(row["mean_par"] is not None or row["transmit_amount"] is not None for row in failed):
            problems.append("a failed case has numbers")
        honest_rows = [without_times(row) for row in expected]
        if any(without_times(row) not in honest_rows for row in rows if row["status"] == "ok"):
            problems.append("a case that was not attacked is not as the honest one")
    if status == "refused" and rows:
        problems.append("cases were run")
    if verdict.message and not any(verdict.message in text for text in leaves(results) if isinstance(text, str)):
        problems.append(f"no message with: {verdict.message}")
    # A leak that a verdict announces leaves traces of its own.
    if verdict.leaks:
        problems[:] = [text for text in problems if "was changed" not in text and "left in the temp" not in text]


def check_log(run: Run, verdict: Verdict) -> None:
    """The log must tell that the attack ran, hold no success of it, and no line that imitates the program's."""
    lines = run.log.splitlines()
    gains = [line.strip() for line in lines if "OPEN: " in line]
    if bool(gains) != verdict.leaks:
        run.problems += gains[:12] or ["nothing was open, although the verdict says so"]
        run.problems += [f"and {len(gains) - 12} more"] if len(gains) > 12 else []
    if verdict.log and verdict.log not in run.log and not verdict.leaks:
        run.problems.append(f"not in the log: {verdict.log}")
    if any(not (character.isprintable() or character in "\n\t") for character in run.log):
        run.problems.append("the log holds control characters")
    if len(run.log) > LONGEST_LOG:
        run.problems.append(f"a log of {len(run.log)} characters")
    if sum(line.startswith("ingestion:") for line in lines) != 1 or sum(line.startswith("[") for line in lines) > 2:
        run.problems.append("the log holds lines that imitate the program's own")


def check_control(control: Run, cases: int) -> None:
    """The honest policy must score exactly what a replay in this process gives."""
    rows = control.results.get("cases", [])
    grid = grid_from_mapping(grid_mapping(False, cases))
    trace = Trace(hotness())
    if len(rows) != cases:
        control.problems.append(f"{len(rows)} cases instead of {cases}")
    for case, row in zip(grid.cases, rows, strict=False):
        expected = measures(replay(trace, case, in_process(trace, case)), trace)
        if any(row[name] != value for name, value in expected.items()):
            control.problems.append(f"{case.name} is not what a replay in this process gives: {expected}")
        if row["redeployed_layers"] == 0:
            control.problems.append("the honest policy redeploys nothing")


def gains_of_memory(rows: list[dict[str, Any]]) -> list[str]:
    """What is not as the verdict NO GAIN says: the memoriser beside the honest policy, whose planner it has."""
    grid = grid_mapping(False, 1) | learned.GRID_PART
    traces, forgetful = learned.hotness_by_dataset(), []
    for case in grid_from_mapping(grid).cases:
        trace = Trace(traces[case.dataset])
        forgetful.append(measures(replay(trace, case, in_process(trace, case)), trace))
    return learned.problems_of(rows, forgetful, grid["cost"])


def in_process(trace: Trace, case: Case) -> Callable[..., Any]:
    """The honest policy without any isolation."""

    def rebalance(start: int, stop: int, deployment: np.ndarray, iteration: int) -> tuple[np.ndarray, np.ndarray]:
        _, layers, table, _ = honest.rebalance(trace.window(start, stop), case.devices, case.redundant_experts)
        return np.array(layers), np.array(table)

    return rebalance


def without_times(value: Any, note: str = "") -> Any:
    """A JSON value without what a clock decides, what names the policy, and notes where one is expected."""
    if isinstance(value, dict):
        dropped = {"policy_sha256", "notes"} if note else {"policy_sha256"}
        items = value.items()
        return {k: without_times(v) for k, v in items if not k.endswith("_seconds") and k not in dropped} | _cost(value)
    return [without_times(item) for item in value] if isinstance(value, list) else value


def _cost(value: dict[str, Any]) -> dict[str, Any]:
    # The one key that ends like a time and is none.
    return {key: value[key] for key in ("balanced_compute_seconds",) if key in value}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} in results.json")
