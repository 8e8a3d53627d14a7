"""Plans replaced while batches are served: controls, replanners, what each may see, transfers, the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lab.commands.main import main
from lab.commands.online import numbers, ordered
from lab.experiments.replanning import Online, findings, replanning, replanning_rows
from lab.online.controls import NAMES, controls, row_aware, targets
from lab.online.replanners import even_replanner, mended, recent
from lab.online.replay import Rules, replay
from lab.online.transfer import charge, moved_slots
from lab.serving.cost import device_sums, latency, replica_tokens
from lab.serving.replicas import Replicas, replicas_of
from lab.serving.routing import least_loaded
from lab.serving.torus import Torus
from lab.traces.batches import Batches
from lab.traces.generators import Sample, drifting, zipf
from lab.traces.trace_file import load_trace, save_trace
from lab_cases import random_batches, random_table
from planning.risk import Forecast, objective

TORUS = Torus(4, 2)
GRID = Torus(4, 4)
CONTROLS = controls(TORUS)


def one(seed: int, size: int = 200) -> tuple[Batches, Replicas]:
    """A batch of several blocks of each expert, and a plan."""
    return random_batches(seed, sizes=(size,)), replicas_of(random_table(seed), 12)


@pytest.fixture(scope="module")
def drift() -> Batches:
    """60 batches of 32 experts whose hot set changes four times."""
    return drifting(Sample(60 * 128, 32, 4), phases=4).batches(0, 128, 4)


# Controls


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("hints", [None, np.arange(12) * 20, np.zeros(12, int)], ids=["none", "some", "zeros"])
def test_every_choice_lands_on_a_replica_of_its_expert(name: str, hints: np.ndarray | None) -> None:
    for seed in range(10):
        batch, plan = one(seed)
        assert (plan.expert[CONTROLS[name](batch, plan, hints)] == batch.choices).all()


def test_with_one_replica_each_all_controls_agree() -> None:
    batch, plan = random_batches(3, sizes=(90,)), replicas_of(np.arange(12).reshape(6, 2), 12)
    assert all(
        (control(batch, plan, batch.load[0]) == plan.first[batch.choices]).all() for control in CONTROLS.values()
    )


@pytest.mark.parametrize("age", [0, 1, 2])
def test_least_loaded_by_single_batches_is_the_router_of_many(age: int) -> None:
    for seed in range(5):
        batches, plan = random_batches(seed, sizes=(90, 130, 70, 150)), replicas_of(random_table(seed), 12)
        hints = [batches.load[at - age] if at >= age else None for at in range(batches.count)]
        routed = [CONTROLS["least-loaded"](batches.select(at, at + 1), plan, hints[at]) for at in range(batches.count)]
        assert np.array_equal(np.concatenate(routed), least_loaded(batches, plan, age))


def test_targets_are_whole_blocks_in_the_shares_of_the_hints() -> None:
    # 70 tokens of expert 0 are three blocks; expert 1 has one of its two replicas beside it.
    choices = np.repeat([0, 1], [70, 30])[:, None]
    batch, plan = (
        Batches(2, choices, np.zeros(100, int), np.array([0, 100])),
        replicas_of(np.array([[0, 1], [0, 1]]), 2),
    )
    assert targets(batch, plan, None).tolist() == [64, 6, 30, 0]
    # Hints of another batch: expert 0 had four blocks, two on each device, expert 1 none.
    assert targets(batch, plan, np.array([128, 0])).tolist() == [64, 6, 30, 0]
    assert targets(batch, plan, np.array([32, 0])).tolist() == [70, 0, 30, 0]


@pytest.mark.parametrize("threshold", [0, 0.5, 1])
def test_a_replica_serves_its_target_whatever_stays_in_its_row(threshold: float) -> None:
    for seed in range(10):
        batch, plan = one(seed)
        routed = row_aware(batch, plan, batch.load[0], TORUS, threshold)
        assert np.array_equal(replica_tokens(batch, plan, routed)[0], targets(batch, plan, batch.load[0]))


def test_the_threshold_takes_choices_into_their_row_from_none_to_all_that_can_be() -> None:
    away = {0.0: [], 1.0: [], np.inf: []}
    for seed in range(10):
        batch, plan = one(seed)
        for threshold, shares in away.items():
            routed = row_aware(batch, plan, batch.load[0], TORUS, threshold)
            stays = TORUS.row(plan.device[routed]) == batch.origins[:, None]
            shares.append(1 - stays.mean())
        held = np.zeros((TORUS.rows, 12), bool)
        held[TORUS.row(plan.device), plan.expert] = True
        assert (stays == held[batch.origins[:, None], batch.choices]).all()
    assert np.mean(away[0]) > np.mean(away[1]) > np.mean(away[np.inf])
    # Rows do not matter at all: other origins, the same replicas.
    other = Batches(12, batch.choices, (batch.origins + 1) % 4, batch.starts)
    routed = [row_aware(each, plan, batch.load[0], TORUS, 0) for each in (batch, other)]
    assert np.array_equal(*routed)


def test_row_aware_hardly_ever_has_a_fuller_device_than_round_robin() -> None:
    better = []
    for seed in range(60):
        batch, plan = one(seed)
        blocks = [
            device_sums(-(-replica_tokens(batch, plan, CONTROLS[name](batch, plan, batch.load[0])) // 32), plan).max()
            for name in ("row-aware", "round-robin")
        ]
        better.append(blocks[0] <= blocks[1])
    assert np.mean(better) >= 0.95


# What controls and replanners may see and do


def test_a_control_gets_one_batch_and_can_write_nothing_that_counts(drift: Batches) -> None:
    honest = CONTROLS_OF_GRID["row-aware"]
    seen, refused = [], []

    def grasping(batch: Batches, plan: Replicas, hints: np.ndarray) -> np.ndarray:
        routed = honest(batch, plan, hints)
        seen.append((batch.count, hints.tolist() == batch.load[0].tolist()))
        for array in (plan.table, plan.slot, plan.device, plan.expert, plan.first, batch.choices, batch.origins, hints):
            for grab in (lambda a=array: a.__setitem__(0, 0), lambda a=array: a.setflags(write=True)):
                with pytest.raises(ValueError, match=r"read-only|WRITEABLE"):
                    grab()
                refused.append(1)
        # Even the objects are copies.
        for name in ("slot", "device", "expert"):
            object.__setattr__(plan, name, np.zeros_like(plan.slot))
        batch.load[:] = 0
        return routed

    part = drift.select(0, 12)
    results = [replay(part, 8, REPLAN, control, Rules(2), GRID) for control in (honest, grasping)]
    assert np.array_equal(*(result.latency for result in results)) and np.array_equal(*(r.moved for r in results))
    assert seen == [(1, True)] * 4 and len(refused) == 4 * 16


def test_hints_are_the_load_of_a_batch_of_that_age_and_none_before_there_is_one(drift: Batches) -> None:
    told = []

    def noting(batch: Batches, plan: Replicas, hints: np.ndarray | None) -> np.ndarray:
        told.append(None if hints is None else hints.tolist())
        return CONTROLS_OF_GRID["row-aware"](batch, plan, hints)

    replay(drift.select(0, 6), 2, REPLAN, noting, Rules(age=3), GRID)
    # Batches 2 to 5 are measured; known ones count.
    assert told == [None, *drift.load[:3].tolist()]


def test_a_replanner_gets_the_loads_of_served_batches_and_the_present_table_and_can_write_neither(
    drift: Batches,
) -> None:
    calls = []

    def noting(past: np.ndarray, live: np.ndarray | None, budget: int | None) -> np.ndarray:
        calls.append((len(past), live is None, budget))
        assert np.array_equal(past, drift.load[: len(past)])
        for array in (past, live) if live is not None else (past,):
            assert not array.flags.writeable
            # No larger array stands behind the view.
            assert len(array.base if isinstance(array.base, bytes) else array.base.base) == array.nbytes
        return REPLAN(past, live, budget)

    replay(drift.select(0, 20), 8, noting, CONTROLS_OF_GRID["row-aware"], Rules(5, budget=6), GRID)
    assert calls == [(8, True, None), (13, False, 6), (18, False, 6)]


def test_what_comes_later_changes_nothing_before(drift: Batches) -> None:
    other = zipf(Sample(60 * 128, 32, 4, seed=5)).batches(0, 128, 4)
    cut = int(drift.starts[15])
    mixed = Batches(32, np.vstack([drift.choices[:cut], other.choices[cut:]]), drift.origins, drift.starts)
    first, second = (
        replay(each.select(0, 24), 8, REPLAN, CONTROLS_OF_GRID["row-aware"], Rules(1, age=1), GRID)
        for each in (drift, mixed)
    )
    # Batch 15 is the first other one: the plan that serves it is still the same.
    assert np.array_equal(first.latency[:7], second.latency[:7]) and np.array_equal(first.moved[:8], second.moved[:8])
    assert not np.array_equal(first.latency[7:], second.latency[7:])


def test_never_replanned_is_the_static_plan_exactly(drift: Batches) -> None:
    plan = replicas_of(REPLAN(drift.load[:20], None, None), 32)
    expected = []
    for at in range(20, 40):
        batch = drift.select(at, at + 1)
        routed = CONTROLS_OF_GRID["row-aware"](batch, plan, batch.load[0])
        expected.append(latency(batch, plan, routed, GRID).total[0])
    for every in (None, 20, 1000):
        served = replay(drift.select(0, 40), 20, REPLAN, CONTROLS_OF_GRID["row-aware"], Rules(every), GRID)
        assert served.latency.tolist() == expected and not served.moved.any() and not served.planning.any()


def test_a_control_that_serves_another_expert_and_a_replan_beyond_its_budget_are_refused(drift: Batches) -> None:
    def lost(batch: Batches, plan: Replicas, hints: np.ndarray | None) -> np.ndarray:
        return np.zeros(batch.choices.shape, int)

    with pytest.raises(ValueError, match=r"^batch 8: a control served a choice by a replica of another expert$"):
        replay(drift.select(0, 10), 8, REPLAN, lost, Rules(), GRID)

    def greedy(past: np.ndarray, live: np.ndarray | None, budget: int | None) -> np.ndarray:
        return REPLAN(past, live, None)

    with pytest.raises(ValueError, match=r"^batch 13: a replan changed \d+ slots; expected at most 1$"):
        replay(drift.select(0, 20), 8, greedy, CONTROLS_OF_GRID["row-aware"], Rules(5, budget=1), GRID)


# Replanners


def test_recent_is_the_mean_of_the_last_batches() -> None:
    past = np.array([[9, 9], [1, 3], [3, 3]])
    assert recent(past, 2).tolist() == [2, 3] and recent(past, 5).tolist() == [13 / 3, 5]


def test_a_plan_for_the_same_loads_moves_nothing(drift: Batches) -> None:
    live = REPLAN(drift.load, None, None)
    assert np.array_equal(REPLAN(drift.load, live, None), live)


@pytest.mark.parametrize("budget", [0, 1, 5, 24])
def test_a_mended_table_keeps_every_expert_and_its_budget_and_is_never_worse(budget: int) -> None:
    for seed in range(5):
        live, load = random_table(seed), np.random.default_rng(seed).lognormal(0, 1, 12)
        table = mended(live, load, budget)
        assert moved_slots(live, table).sum() <= budget and set(table.ravel()) == set(range(12))
        share = (load / load.sum())[None]
        forecast = Forecast(share, 0 * share, np.zeros((1, 1, 12)), 0, 0)
        assert objective(forecast, table[None]) <= objective(forecast, live[None])


# Transfers and figures


def test_transfers_wait_for_the_device_that_receives_most_or_for_all_slots() -> None:
    moved = np.array([[0, 0, 0], [2, 1, 0]])
    # 88 080 384 bytes over 900 GB/s.
    assert charge(moved).tolist() == pytest.approx([0, 2 * 97.86709333])
    assert charge(moved, serial=True).tolist() == pytest.approx([0, 3 * 97.86709333])
    assert charge(moved, 450e9).tolist() == pytest.approx([0, 4 * 97.86709333])
    assert moved_slots(np.array([[0, 1], [2, 3]]), np.array([[1, 0], [2, 4]])).tolist() == [2, 1]


def test_replanning_lowers_p99_on_a_drifting_trace_by_more_than_the_transfers_take() -> None:
    # Where experts have several blocks of tokens.
    drift = drifting(Sample(60 * 512, 64, 4), phases=4).batches(0, 512, 4)
    frame = replanning([drift], 15, (1, 5, None), Online(Torus(4, 8), 3, budget=16)).set_index("every")
    static = frame.loc["inf"]
    for every in ("1", "5"):
        row = frame.loc[every]
        assert static["p99"] - row["p99"] > row["largest_charge"] and row["charged_p99"] < static["p99"]
    assert frame["replans_per_1000"].tolist() == pytest.approx([1000 * 44 / 45, 1000 * 8 / 45, 0])
    assert frame["largest_slots"].max() <= 16 and frame.loc["1", "gigabytes"] == frame.loc["1", "slots"] * 0.088080384


def test_transfers_are_charged_and_planning_only_where_that_is_asked_for(drift: Batches) -> None:
    part = drift.select(0, 24)
    free, timed = (
        replanning([part], 12, (4,), Online(GRID, 3, bandwidth=np.inf, planning_charged=charged)).iloc[0]
        for charged in (False, True)
    )
    assert free["slots"] > 0 and free["charged_mean"] == free["mean"] and free["largest_charge"] == 0
    assert timed["charged_mean"] - timed["mean"] == pytest.approx(1e6 * timed["plan_seconds"] / 12)
    assert timed["plan_seconds"] > 0
    # Every slot over one link waits 97.87 us, in the mean of the 12 batches too.
    serial = replanning([part], 12, (4,), Online(GRID, 3, serial=True)).iloc[0]
    assert serial["charged_mean"] - serial["mean"] == pytest.approx(serial["slots"] * 97.86709333 / 12)


def test_layers_are_replanned_at_once_and_a_device_receives_for_all_of_them(drift: Batches) -> None:
    part = drift.select(0, 24)
    single, double = (replanning([part] * n, 12, (4,), Online(GRID, 3)).iloc[0] for n in (1, 2))
    for name in ("mean", "p99", "slots", "largest_charge"):
        assert double[name] == pytest.approx(2 * single[name])
    assert double["replans_per_1000"] == single["replans_per_1000"] == 1000 * 2 / 12


def test_a_measured_time_is_told_in_the_class_that_it_meets(drift: Batches) -> None:
    frame = replanning([drift.select(0, 12)], 6, (2, None), Online(GRID, 3))
    assert (
        "Per layer, routing takes 25.00 ms a batch, in the class nearline (online: below 10 ms), and a replan 2500.0 "
        "ms, in the class offline (nearline: below 2 s)."
    ) in findings(frame.assign(route_ms=[25.0, 1.0], plan_ms=2500.0), 6)


@pytest.mark.parametrize(
    ("static", "where"),
    [
        (900, "900.0 us: at N = 1, 5"),
        # A batch may wait longer than p99 falls: 855 - 800 is more than p99 is charged, and less than 70.
        (855, "855.0 us: at N = 5"),
        (850, "850.0 us: at no N"),
        (790, "790.0 us: at no N"),
    ],
)
def test_replanning_pays_where_p99_falls_by_more_than_it_is_charged(static: float, where: str) -> None:
    frame = pd.DataFrame({"every": ["1", "5", "inf"], "p99": [790.0, 800.0, static], "plan_ms": 1.0, "route_ms": 1.0})
    frame = frame.assign(
        charged_p99=[860.0, 850.0, static], largest_charge=[70.0, 70.0, 0.0], replans_per_1000=[9, 2, 0]
    )
    assert findings(frame, 150)[1] == (
        f"Replanning pays where charged_p99 is below the static plan's p99, {where}. The lowest is 850.0 us, at N = 5: "
        "p99 is 800.0 us without what is charged, and a batch waits 70.0 us at most."
    )


def test_where_nothing_is_replanned_no_replan_is_told_of(drift: Batches) -> None:
    told = findings(replanning([drift.select(0, 12)], 6, (6, None), Online(GRID, 3)), 6)
    assert told[1] == "Nothing was replanned: no N is below the 6 measured batches. Next: a smaller --every."
    assert told[2].endswith(" ms a batch, in the class online (online: below 10 ms).")


def test_rows_are_in_the_class_that_a_replan_meets(monkeypatch: pytest.MonkeyPatch) -> None:
    # No replan takes less than nothing.
    monkeypatch.setattr("lab.experiments.replanning.NEARLINE", 0)
    _, frame, _ = replanning_rows({"a": zipf(Sample(1000, 32, 4))}, 50, GRID, 3)
    assert frame["run"].tolist() == ["offline", "offline", "once"]


def test_short_traces_and_few_slots_have_a_sentence_instead_of_rows() -> None:
    trace = zipf(Sample(1000, 32, 4))
    _, frame, told = replanning_rows({"a": trace}, 100, GRID, 3)
    assert frame.empty and told == [
        "a: 10 whole batches of 100 tokens are too few to replan between them; expected 20 or more. Next: a longer "
        "trace or a smaller --batch."
    ]
    _, frame, told = replanning_rows({"a": trace}, 10, TORUS, 3)
    assert frame.empty and told == ["a: 24 slots do not hold 32 experts, so nothing is replanned online."]
    _, frame, _ = replanning_rows({"a": trace}, 50, GRID, 3)
    assert frame["plan"].tolist() == ["replanned every 1", "replanned every 5", "static"]
    assert frame["run"].tolist() == ["nearline", "nearline", "once"]
    assert frame["replans_per_1000"].tolist() == [900, 100, 0]
    assert frame["gigabytes"].tolist() == pytest.approx([slots * 0.088080384 for slots in frame["slots"]])


# The command


def test_the_command_prints_every_number_of_batches_and_writes_all_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_trace(tmp_path / "trace", drifting(Sample(1920, 32, 4)))

    def run(*words: object) -> tuple[int, str]:
        code = main([str(word) for word in ("online", tmp_path / "trace", "--batch", 64, *words)])
        return code, capsys.readouterr().out

    code, printed = run("--every", "4,9", "--age", 1, "--threshold", "inf", "--output", tmp_path / "o.csv")
    assert code == 0 and printed.startswith(
        "## Latency in us of 22 batches of 64 tokens, 1 of 1 layers, replanned every N batches\n"
    )
    rows = (tmp_path / "o.csv").read_text(encoding="utf-8").splitlines()
    assert [row.partition(",")[0] for row in rows] == ["every", "4", "9", "inf"]
    charged = (
        "\n(charged_...: with what the batch after a replan waits for slots that move; slots go over a link of each"
    )
    assert charged in printed
    # Spaces, commas and the option given twice add up.
    for words in (("--every", 9, 4), ("--every", 4, "--every", "9,4")):
        assert "\n| 4 |" in (printed := run(*words)[1]) and "\n| 9 |" in printed and "\n| 1 |" not in printed
    assert run("--budget", "inf", "--serial", "--charge-planning", "--layers", 3)[0] == 0
    for words, text in (
        (("--age", -1), "--age is too small. Got: -1. Expected: at least 0. Next: correct --age."),
        (("--threshold", "nan"), "--threshold is too small. Got: nan. Expected: 0 or more, or inf. Next: correct"),
        (("--bandwidth", 0), "--bandwidth is too small. Got: 0. Expected: above 0. Next: correct --bandwidth."),
        (
            ("--router", "same-row-first", "--age", 1),
            "--age changes nothing. Got: router same-row-first. Expected: row-aware or least-loaded. Next: leave --age "
            "out, or give --router.",
        ),
        (
            ("--router", "round-robin", "--threshold", 1),
            "--threshold changes nothing. Got: router round-robin. Expected: row-aware or same-row-first.",
        ),
        (("--share", 1), "--share leaves no part. Got: 1.0. Expected: between 0 and 1. Next: correct --share."),
        (("--share", 0.99), "the trace is too short. Got: 30 whole batches, 30 for the first plan. Expected: another"),
    ):
        code, printed = run(*words)
        assert code == 1 and printed.startswith(f"online: {text}")


def test_a_drift_may_have_any_number_of_hot_sets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ("--tokens", "200", "--experts", "8", "--top-k", "2", "--output", str(tmp_path / "t"))
    assert main(["generate", "drifting", "--phases", "7", *sizes]) == 0
    expected = drifting(Sample(200, 8, 2), phases=7).choices
    assert np.array_equal(load_trace(tmp_path / "t").choices[0], expected[0])
    capsys.readouterr()
    assert main(["generate", "zipf", "--phases", "7", *sizes]) == 1
    assert capsys.readouterr().out == (
        "generate: --phases is only for the kind drifting. Got: zipf. Expected: drifting. Next: leave --phases out, or "
        "generate drifting.\n"
    )
    assert main(["generate", "drifting", "--phases", "1", *sizes]) == 1
    assert capsys.readouterr().out == "generate: a drift over 1 phases; expected at least 2\n"


def test_numbers_of_batches_are_told_by_commas_and_inf_is_always_there() -> None:
    assert ordered([numbers("5, 1")]) == ordered([numbers("1,5,inf")]) == (1, 5, None)
    for text in ("0,1", "x", "-1"):
        with pytest.raises(Exception, match="expected"):
            numbers(text)


REPLAN = even_replanner(GRID, 3, 5)
CONTROLS_OF_GRID = controls(GRID)
