"""Opening, hashing, replaying and planning one trace, in seconds and in passes over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarking.clock import median_seconds, one_core
from benchmarking.plain import numpy_loop_seconds, plain_seconds
from placement.ds_eplb import ds_eplb
from placement.grid import Case
from placement.replay import replay
from placement.trace import Trace, trace_sha256
from placement.traces.files import open_trace
from traces.reference import ds_eplb_policy


@one_core()
def trace_costs(folder: Path, cases: list[Case], times: int) -> tuple[list[dict[str, Any]], Trace]:
    """One row per case of a trace, and the trace.

    A pass is numpy's sum of the whole trace in memory, int32 to int64; `read_passes` is merely reading it, for the
    largest value. `open_passes` is everything between the file, in the system's cache, and the first case but the hash,
    whose price stands beside it; `case_passes` is a replay and the case's part of the opening. The policy's answers are
    planned beforehand, so a replay holds no policy's time. DS-EPLB's call sums the window and plans.
    """
    first = cases[0]
    trace = open_trace(folder, first.model, first.dataset, None)
    stored = trace.window(0, trace.iterations)
    one_pass = median_seconds(stored.sum, times)
    reading = median_seconds(stored.max, times)
    hashing = median_seconds(lambda: trace_sha256(stored), times)
    opening = median_seconds(lambda: open_trace(folder, first.model, first.dataset, None), times) - hashing
    rows = []
    for case in cases:
        answers = ds_eplb_answers(trace, case)
        seconds = median_seconds(lambda case=case, answers=answers: replay_answers(trace, case, answers), times)
        window = trace.window(0, case.window)
        weights = window.sum(axis=0)
        sizes = (case.devices, case.redundant_experts, case.groups, case.nodes)
        call = median_seconds(lambda w=window, s=sizes: ds_eplb(w.sum(axis=0), *s), times)
        plan = median_seconds(lambda w=weights, s=sizes: ds_eplb(w, *s), times)
        table = ds_eplb(weights, *sizes)
        rows.append(
            {
                "model": case.model,
                "ep": case.key.rsplit("/", 1)[1],
                "pass_seconds": one_pass,
                "read_passes": reading / one_pass,
                "hash_passes": hashing / one_pass,
                "open_passes": opening / one_pass,
                "replay_seconds": seconds,
                "replay_passes": seconds / one_pass,
                "case_passes": (seconds + opening / len(cases)) / one_pass,
                "plain_loop_ratio": plain_seconds(stored, case.devices, case.redundant_experts) / seconds,
                "numpy_loop_ratio": numpy_loop_seconds(stored, table[0]) / seconds,
                "ds_eplb_call_milliseconds": call * 1000,
                "ds_eplb_plan_milliseconds": plan * 1000,
            }
        )
    return rows, trace


def ds_eplb_answers(trace: Trace, case: Case) -> dict[int, Any]:
    """DS-EPLB's answer at each of its calls, by iteration."""
    answers: dict[int, Any] = {}
    planned = ds_eplb_policy(trace, case)

    def rebalance(start: int, stop: int, deployment: np.ndarray, iteration: int) -> Any:
        answers[iteration] = planned(start, stop, deployment, iteration)
        return answers[iteration]

    replay(trace, case, rebalance)
    return answers


def replay_answers(trace: Trace, case: Case, answers: dict[int, Any]) -> None:
    """Replay a case with answers that were planned beforehand."""
    replay(trace, case, lambda start, stop, deployment, iteration: answers[iteration])
