"""What a table learned by heart is worth: much on the trace that it is of, nothing once that is relabelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import learned
from cases import make_case
from placement.answer import Redeployment
from placement.ds_eplb import ds_eplb
from placement.grid import Case
from placement.replay import replay
from placement.trace import Trace
from scores.modeled_runtime import modeled_seconds
from traces.labels import draw_labels, relabelled

SAMPLE = Path(__file__).resolve().parent.parent / "sample_traces" / "DS-R1" / "generated.npz"
CASE = make_case(layers=8, experts=256, devices=32, window=128)
COST = {"balanced_compute_seconds": 60.0, "expert_bytes": 88_080_384, "bandwidth_bytes_per_second": 900_000_000_000}


@pytest.fixture(scope="module")
def public() -> np.ndarray:
    """The first layers of the sample trace, which every participant has: int32 [iteration, layer, expert]."""
    with np.load(SAMPLE) as archive:
        return archive["hotness"][:, : CASE.layers].astype(np.int32)


@pytest.fixture(scope="module")
def hidden(public: np.ndarray) -> np.ndarray:
    """The same, relabelled."""
    return relabelled(public, draw_labels(bytes(32), "DS-R1/trace-01", public.shape, seed=1))


def score_of(hotness: np.ndarray, remembered: np.ndarray | None, find_again: bool = False) -> float:
    """DS-EPLB's plan at the first call, kept to the end: of the first window, or of the loads of a remembered trace.

    100 is what is reached without a plan. find_again: experts are taken for those of the remembered trace that were
    as hot in the first window, of as many as there are.
    """
    trace, case = Trace(hotness), CASE

    def rebalance(start: int, stop: int, deployment: np.ndarray, iteration: int) -> Redeployment | None:
        if iteration > case.window + 1:
            return None
        seen = hotness[start:stop].sum(axis=0)
        loads = seen if remembered is None else remembered.sum(axis=0)
        if find_again:
            known = np.argsort(remembered[start:stop].sum(axis=0), axis=1, kind="stable")
            now, by_rank = np.argsort(seen, axis=1, kind="stable"), np.take_along_axis(loads, known, axis=1)
            loads = np.empty_like(by_rank)
            np.put_along_axis(loads, now, by_rank, axis=1)
        return np.arange(case.layers), ds_eplb(loads, case.devices, case.redundant_experts)

    return 100 * seconds(trace, case, lambda *call: None) / seconds(trace, case, rebalance)


def seconds(trace: Trace, case: Case, rebalance: object) -> float:
    """Modeled time of a case."""
    run = replay(trace, case, rebalance)
    return modeled_seconds({"mean_par": float(run.par.mean()), "transmit_amount": run.transmit_amount, "cost": COST})


def test_a_table_learned_by_heart_gains_on_the_trace_that_it_is_of(public: np.ndarray) -> None:
    assert score_of(public, public) > score_of(public, None) + 2


def test_a_table_learned_by_heart_gains_nothing_on_the_relabelled_trace(public: np.ndarray, hidden: np.ndarray) -> None:
    assert score_of(hidden, public) < score_of(hidden, None) - 20


def test_experts_that_are_found_again_by_their_loads_are_worth_as_much_as_before(
    public: np.ndarray, hidden: np.ndarray
) -> None:
    # What relabelling does not stop, as SECURITY.md says.
    assert score_of(hidden, public, find_again=True) > score_of(hidden, None) + 2


# The verdict NO GAIN


def rows(public_par: float, hidden_par: float | None) -> list[dict]:
    pars = {learned.PUBLIC: public_par, learned.RELABELLED: hidden_par}
    return [{"dataset": d, "status": "ok", "mean_par": par, "transmit_amount": 0} for d, par in pars.items()]


@pytest.mark.parametrize(
    ("found", "problems"),
    [
        (rows(1.25, 1.5), []),
        (rows(1.25, 1.75), []),
        (rows(1.5, 1.5), ["nothing was remembered: 90.000 s on the public trace, 90.000 s without memory"]),
        (rows(1.25, 1.25), ["a gain: 75.000 s on the relabelled trace, 90.000 s without memory"]),
        (rows(1.25, None), ["expected both traces measured, got [('public', 'ok'), ('relabelled', 'ok')]"]),
        (rows(1.25, 1.5)[:1], ["expected both traces measured, got [('public', 'ok')]"]),
    ],
)
def test_the_verdict_no_gain_asks_for_a_gain_on_the_public_trace_alone(found: list[dict], problems: list[str]) -> None:
    assert learned.problems_of(found, rows(1.5, 1.5), COST) == problems
