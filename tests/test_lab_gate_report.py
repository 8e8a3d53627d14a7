"""Gates under one plan: what the table shows, and what it says where a trace has no scores."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lab.commands.main import main
from lab.experiments import gating
from lab.experiments.gate_report import NOTES, matrix_gates, report
from lab.experiments.gating import Gated, gated_of, gates, planned_for
from lab.experiments.methods import Setting
from lab.gating.catalogue import Method, methods
from lab.serving.measures import measures
from lab.serving.torus import Torus
from lab.traces.batches import Batches
from lab.traces.generators import Sample, zipf
from lab.traces.trace_file import save_trace

TRACE = zipf(Sample(600, 32, 4, scores=True))
BARE = replace(TRACE, scores=None)
TORUS = Torus(4, 4)
SETTING = Setting(TORUS, 3, False)
MEASURED = ["gate", "run", "meets", "gate_ms"]
NO_SCORES = (
    "t: the trace has no scores. Got: choices alone. Expected: scores of all experts, for bias, limited, reroute, base "
    "and expert-choice. Next: `generate --scores`, or import records or batches with `scores`; `gating --method top-k "
    "drop` needs none."
)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    gated = gated_of(TRACE, 0, 96, 4, 0, 40)
    found = methods(32, kept=(8, 4, 2, 1))
    return gates(found, gated, planned_for(gated.batches, SETTING), SETTING).set_index("gate", drop=False)


def test_without_a_capacity_and_with_all_groups_every_figure_is_that_of_plain_top_k(frame: pd.DataFrame) -> None:
    plain = frame.loc["top-k, dropless"].drop(MEASURED)
    for name in ("drop, capacity inf", "reroute, capacity inf", "limited, 8 of 8 groups"):
        same = frame.loc[name].drop(MEASURED)
        known = same.notna()
        assert (same[known] == plain[known]).all() and known.sum() >= len(plain) - 1


def test_plain_top_k_has_the_latency_of_the_plan_and_its_router(frame: pd.DataFrame) -> None:
    batches = TRACE.batches(0, 96, 4, 0)
    planned = planned_for(batches, SETTING)
    found = measures(batches, planned.replicas, planned.router(batches, planned.replicas), TORUS)
    for name, other in (("mean", "mean"), ("p99", "p99"), ("compute", "compute"), ("rows", "rows_per_token")):
        assert frame.loc["top-k, dropless", name] == found[other]


def test_a_larger_capacity_drops_and_reroutes_less_and_keeps_more(frame: pd.DataFrame) -> None:
    for kind, share in (("drop", "dropped"), ("reroute", "rerouted")):
        rows = frame[frame["gate"].str.startswith(kind)]
        shares, kept = rows[share].tolist(), rows["kept"].tolist()
        assert shares == sorted(shares, reverse=True) and shares[0] > 0 == shares[-1]
        assert kept == sorted(kept) and kept[0] < 1 == kept[-1]
    assert (frame.loc[frame["gate"].str.startswith("reroute"), "dropped"] == 0).all()


def test_fewer_groups_mean_fewer_rows_where_a_group_lies_in_a_row(frame: pd.DataFrame) -> None:
    limited = [frame.loc[f"limited, {kept} of 8 groups"] for kept in (8, 4, 2, 1)]
    for name in ("groups", "rows by id", "kept"):
        values = [line[name] for line in limited]
        assert values == sorted(values, reverse=True) and values[-1] < values[0]
    assert all(line["groups"] <= kept for line, kept in zip(limited, (8, 4, 2, 1), strict=True))


def test_balanced_gates_are_balanced_and_say_that_they_are_not_causal(frame: pd.DataFrame) -> None:
    # 384 choices of whole batches are 12 for each of 32 experts; the last batch has 24 tokens.
    assert frame.loc["BASE", ["first", "max/mean", "last"]].tolist() == [1, 1, 1]
    assert frame.loc["expert choice", "max/mean"] == 1
    assert frame.loc[["BASE", "expert choice"], "run"].tolist() == ["offline, not causal", "online, not causal"]
    assert set(frame.drop(index=["BASE", "expert choice"])["run"]) == {"online"}
    assert frame.loc["BASE", "aux loss"] < 1.1 < frame.loc["top-k, dropless", "aux loss"]


def test_dropless_compute_is_at_most_that_of_buffers_that_drop_nothing(frame: pd.DataFrame) -> None:
    whole = frame[frame["padded"].notna() & (frame["dropped"] == 0)]
    assert len(whole) >= 6 and (whole["compute"] <= whole["padded"]).all()
    assert whole.loc["top-k, dropless", "padded"] > whole.loc["top-k, dropless", "compute"]


def test_a_gate_that_misses_its_class_is_shown_in_the_one_that_it_meets(monkeypatch: pytest.MonkeyPatch) -> None:
    gated = gated_of(TRACE, 0, 96, 4, 0, 2)
    planned = planned_for(gated.batches, SETTING)
    clock = (0.012 * tick for tick in count())
    monkeypatch.setattr(gating.time, "process_time", lambda: next(clock))
    frame, told = report("t", gated, planned, SETTING, methods(32, ["top-k"]), 8)
    assert frame["meets"].tolist() == ["nearline"]
    assert "top-k, dropless misses its class, online (10 ms a batch): 12.0 ms a batch, so it is nearline." in told
    frame, told = report("t", gated, planned, SETTING, methods(32, ["base"]), 8)
    assert frame["meets"].tolist() == ["nearline"]
    assert "BASE, meant for offline, is nearline here (2 s a layer): 2 batches of 12.0 ms." in told


def test_every_column_of_the_gates_is_explained(frame: pd.DataFrame) -> None:
    words = [word.strip() for note in NOTES for word in re.split(r"[;:,(]", note)]
    # The words on max/mean name their batches.
    assert {*frame.columns} - {*words} <= {"gate", "first", "last"} and "in the first and the last" in words


def test_the_shared_expert_is_served_to_every_token_and_counted_in_no_share() -> None:
    gated = gated_of(TRACE, 0, 96, 4, 0, 2)
    setting = replace(SETTING, shared=True)
    found = methods(32, ["top-k", "drop"], (1.0,))
    frame = gates(found, gated, planned_for(gated.batches, setting), setting)
    plain = gates(found, gated, planned_for(gated.batches, SETTING), SETTING)
    same = ["max/mean", "dropped", "kept", "groups", "aux loss"]
    assert (frame[same] == plain[same]).all(axis=None) and (frame["rows"] > plain["rows"]).all()


def test_shares_of_choices_are_those_counted_by_hand() -> None:
    scores = np.array([[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]], np.float32)
    choices = np.array([[0, 1], [3, 2]])
    gated = Gated(Batches(4, choices, np.zeros(2, np.int32), np.array([0, 2])), scores, None)
    setting = Setting(Torus(2, 1), 2, False)
    # The first token keeps its best expert and gets its third one; the second token has none.
    given = Method("fixed", "fixed", "online", lambda: lambda *_: np.array([[0, 2, -1], [-1, -1, -1]]))
    line = gates([given], gated, planned_for(gated.batches, setting), setting, 2).loc[0]
    expected = {"dropped": 0.5, "rerouted": 0.25, "without": 0.5, "groups": 1, "rows by id": 1, "max/mean": 2}
    assert line[[*expected]].tolist() == [*expected.values()]
    assert line["kept"] == pytest.approx((0.4 + 0.2) / (0.7 + 0.7))
    # f is a half for experts 0 and 2, whose P are both a quarter; two replicas of 32 rows multiply 2 tokens.
    assert line["aux loss"] == pytest.approx(1) and line["padding"] == pytest.approx(62 / 64)


def test_weights_of_the_chosen_experts_tell_what_dropping_keeps() -> None:
    found = methods(32, ["drop"])
    weighed = replace(BARE, weights=np.take_along_axis(TRACE.scores, TRACE.choices, axis=2))
    kept = []
    for trace in (TRACE, weighed, BARE):
        gated = gated_of(trace, 0, 96, 4, 0, 2)
        kept.append(gates(found, gated, planned_for(gated.batches, SETTING), SETTING)["kept"])
    assert kept[0].tolist() == pytest.approx(kept[1].tolist()) and kept[2].isna().all()


def test_how_many_experts_tokens_have_by_expert_choice_is_told() -> None:
    # Both experts take tokens 0 and 1; then expert 0 takes tokens 1 and 3, expert 1 tokens 0 and 1.
    scores = np.array([[9, 9], [8, 8], [1, 1], [1, 1], [1, 9], [9, 8], [1, 1], [8, 1]], np.float32)
    batches = Batches(2, np.zeros((8, 1), int), np.zeros(8, np.int32), np.array([0, 4, 8]))
    gated, setting = Gated(batches, scores, None), Setting(Torus(2, 1), 2, False)
    _, told = report("t", gated, planned_for(batches, setting), setting, methods(2, ["expert-choice"]), 2)
    assert "expert choice, experts of a token: 0: 37.5%, 1: 25.0%, 2: 37.5%." in told


def test_what_is_recorded_otherwise_than_by_the_scores_is_told() -> None:
    choices = np.array(TRACE.choices)
    choices[0, :, 3] = [next(e for e in range(32) if e not in chosen) for chosen in choices[0].tolist()]
    gated = gated_of(replace(TRACE, choices=choices), 0, 96, 4, 0, 2)
    _, told = report("t", gated, planned_for(gated.batches, SETTING), SETTING, methods(32, ["top-k"]), 8)
    assert any(line.endswith("% of the recorded choices are not among the k best scores.") for line in told)


def test_choices_alone_have_their_own_table_and_weights_tell_what_is_kept(tmp_path: Path, capsys) -> None:
    weights = np.take_along_axis(TRACE.scores, TRACE.choices, axis=2)
    for trace, got, known in ((BARE, "choices alone", ""), (replace(BARE, weights=weights), "weights", "100.0%")):
        save_trace(tmp_path / "t", trace)
        assert main(["gating", str(tmp_path / "t"), "--grid", "4x4", "--capacity", "1,inf"]) == 0
        out = capsys.readouterr().out
        gate = [line.split(" | ") for line in out.splitlines() if line.startswith(("| top-k", "| drop"))]
        assert [line[0] for line in gate] == ["| top-k, dropless", "| drop, capacity 1", "| drop, capacity inf"]
        assert f"t: the trace has no scores. Got: {got}" in out and gate[2][9] == known
        assert "| bias" not in out and "| BASE" not in out
        assert main(["gating", str(tmp_path / "t"), "--method", "top-k", "base"]) == 1
        refused = capsys.readouterr().out
        assert refused.startswith(f"gating: t: the trace has no scores. Got: {got}") and refused.count("\n") == 1


def test_the_matrix_and_a_recommendation_have_the_gates_or_the_sentence(tmp_path: Path, capsys) -> None:
    grid = ["--grid", "4x4", "--batch", "64", "--swaps", "0", "--no-plots"]
    for trace, has in ((TRACE, True), (BARE, False)):
        save_trace(tmp_path / "t", trace)
        for command in ("matrix", "recommend"):
            folder = tmp_path / f"{command} {has}"
            assert main([command, str(tmp_path / "t"), *grid, "--output", str(folder)]) == 0
            out = capsys.readouterr().out
            assert ("| reroute, capacity 1.25 | online |" in out) == (NO_SCORES not in out) == has
            assert (folder / "gating.csv").exists() == has
    matrix, gate = (pd.read_csv(tmp_path / "matrix True" / name) for name in ("matrix.csv", "gating.csv"))
    nearline = matrix[(matrix["row"] == "nearline") & matrix["setting"].str.contains("shared")].iloc[0]
    assert gate.loc[0, ["mean", "p99"]].tolist() == nearline[["mean", "p99"]].tolist()


def test_held_out_gates_are_measured_on_batches_that_were_not_planned_from() -> None:
    heading, frame, told = matrix_gates("t", TRACE, SETTING, 100, 0, True)
    assert heading == "Gates, layer 0 of t, held out" and told[0].startswith("3 batches; plan: nearline")
    whole = matrix_gates("t", TRACE, SETTING, 100, 0, False)
    assert whole[0].endswith("in sample") and whole[2][0].startswith("6 batches") and len(frame) == len(whole[1])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["--slots", "1"],
            "gating: the slots do not hold every expert. Got: 16. Expected: 32 or more, for 32 experts.",
        ),
        (["--groups", "5"], "gating: 2 of 5 groups of 32 experts, scored by 2, for 4 choices; expected groups of one"),
        (["--groups", "0"], "gating: --groups is too small. Got: 0. Expected: at least 1. Next: correct --groups."),
        (
            ["--groups", "32", "--method", "limited"],
            "gating: limited routing has no groups to keep. Got: 32 groups of 32 experts. Expected: groups of 2 or "
            "more, a half with 4 experts. Next: give --groups, or --kept.",
        ),
        (["--step", "-1"], "gating: --step is too small. Got: -1.0. Expected: 0 or more. Next: correct --step."),
        (["--layer", "3"], "gating: no layers [3] in the trace; it has [0]"),
        (
            ["--batch", "900", "--held-out"],
            "gating: the trace has only one batch. Got: 600 tokens. Expected: two batches or more.",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(words: list[str], told: str, tmp_path: Path, capsys) -> None:
    save_trace(tmp_path / "t", TRACE)
    assert main(["gating", str(tmp_path / "t"), "--grid", "4x4", *words]) == 1
    assert capsys.readouterr().out.startswith(told)


def test_half_and_a_quarter_of_the_groups_are_kept_however_many_there_are(tmp_path: Path, capsys) -> None:
    save_trace(tmp_path / "t", TRACE)
    for groups, kept in (("2", "1"), ("16", "8 4")):
        words = ["--grid", "4x4", "--method", "limited", "--groups", groups]
        assert main(["gating", str(tmp_path / "t"), *words]) == 0
        names = [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines() if line.startswith("| limited")]
        assert names == [f"| limited, {number} of {groups} groups" for number in kept.split()]


def test_a_capacity_that_is_none_is_refused(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["gating", "t", "--capacity", "1,no"])
    assert "'1,no' are no capacities; expected numbers above 0, as 1,1.25,inf" in capsys.readouterr().err
