"""A recommendation: requests split in time, methods compared on the same work, intervals, the files written."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from lab.commands.main import main
from lab.experiments.intervals import batches_for_bound, interval, resampled, statistic
from lab.experiments.methods import PAR, Setting
from lab.experiments.page import html_page
from lab.experiments.recommendation import best, compare, frame_of, printed
from lab.experiments.run_record import digest
from lab.experiments.split import drawn, drift, joined, split
from lab.experiments.verdict import _between, drifted, verdict
from lab.planning.plan_file import load_plan
from lab.serving.replicas import replicas_of
from lab.serving.torus import Torus
from lab.traces.generators import Sample, zipf
from lab.traces.routing_trace import RoutingTrace
from lab.traces.statistics import nearest_rank
from lab.traces.trace_file import save_trace
from placement.errors import Problem

TORUS = Torus(4, 4)


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def trace() -> RoutingTrace:
    """32 experts in two layers."""
    return zipf(Sample(tokens=1600, experts=32, k=4, layers=2, seed=1))


@pytest.fixture(scope="module")
def rows(trace: RoutingTrace) -> list:
    """Every method, with the shared expert, over both layers."""
    early, late = split(trace)
    parts = [[drawn(part, at, 64, 4, 0, 10).with_shared() for at in (0, 1)] for part in (early, late)]
    return compare(*parts, Setting(TORUS, 3, True, swaps=300))


def test_requests_are_split_in_the_order_in_which_they_came() -> None:
    # Request 9 came first with three of seven tokens, then 2 with two, then 5.
    requests = np.array([9, 2, 9, 2, 9, 5, 5])
    early, late = split(RoutingTrace(8, (0,), np.arange(7).reshape(1, 7, 1), requests, np.arange(7)))
    assert early.requests.tolist() == [9, 9, 9] and early.choices.ravel().tolist() == [0, 2, 4]
    assert late.requests.tolist() == [2, 2, 5, 5] and late.origins.tolist() == [1, 3, 5, 6]
    halves = split(RoutingTrace(8, (0,), np.arange(7).reshape(1, 7, 1), requests), 0.5, seed=0)
    assert sorted(np.concatenate([part.choices.ravel() for part in halves])) == list(range(7))
    assert not set(halves[0].requests) & set(halves[1].requests)
    with pytest.raises(Problem, match=r"the trace cannot be split. Got: one request. Expected: two or more"):
        split(RoutingTrace(8, (0,), np.zeros((1, 2, 1), int), np.array([4, 4])))


def test_batches_are_whole_and_a_short_part_is_drawn_again_in_another_order(trace: RoutingTrace) -> None:
    once, again = (drawn(trace, 0, 700, 4, 0, 5, again) for again in (False, True))
    assert np.diff(once.starts).tolist() == [700] * 2 and np.diff(again.starts).tolist() == [700] * 5
    assert np.array_equal(again.choices[:1400], once.choices) and not np.array_equal(
        again.choices[1400:2800], once.choices
    )
    assert joined([once, again]).starts.tolist() == [700 * batch for batch in range(8)]


def test_statistics_are_those_of_the_cost_model_and_intervals_hold_what_they_should() -> None:
    values = np.random.default_rng(0).normal(100, 10, size=200)
    assert [statistic(values, name) for name in ("p50", "p95", "p99")] == [
        nearest_rank(values, share) for share in (0.5, 0.95, 0.99)
    ]
    low, high = interval(resampled(values, "mean", 2000, 0))
    # The standard error of the mean is 10 / sqrt(200).
    assert low < values.mean() < high and (high - low) / 2 == pytest.approx(1.96 * values.std() / 200**0.5, rel=0.1)
    assert np.array_equal(resampled(values, "p95", 300, 7), resampled(values[None], "p95", 300, 7)[0])
    assert np.ptp(resampled(np.full(5, 3.0), "p99", 10, 0)) == 0
    # The fewest for which all lie below the percentile with at most 2.5 %.
    assert [batches_for_bound(name) for name in ("mean", "p95", "p99")] == [1, 72, 368]
    assert 0.99**368 <= 0.025 < 0.99**367


def test_label_sorted_requests_are_told_from_mixed_ones() -> None:
    # 40 requests of 8 tokens, each on one expert: the first half on experts 0 and 1, the others on 2 and 3.
    choices, requests = np.repeat(np.arange(40) // 20 * 2 + np.arange(40) % 2, 8), np.repeat(np.arange(40), 8)
    by_time, at_random = drift(RoutingTrace(4, (0,), choices.reshape(1, -1, 1), requests))
    assert by_time == 1 and 0 < at_random < 0.5
    assert drifted(by_time, 0.25, "a") == [
        "Early and late requests of a differ: 100.0 % of the choices would have to go to other experts for equal "
        "loads, between random parts at most 25.0 %. Where the file's order is no time, for example sorted by topic, "
        "next: --split random."
    ]
    mixed = np.random.default_rng(0).permutation(40)
    by_time, at_random = drift(RoutingTrace(4, (0,), np.repeat(mixed // 20, 8).reshape(1, -1, 1), requests))
    assert drifted(by_time, at_random) == []


def test_an_improvement_is_told_without_signs() -> None:
    assert _between(0.4, 3.1, "mean") == "between 0.4 and 3.1 us lower"
    assert _between(-1.2, 3.0, "p99") == "between 1.2 us higher and 3.0 us lower, so not surely lower"
    assert _between(-3.0, -1.2, PAR) == "between 1.200 and 3.000 higher"
    assert _between(0.0, 0.0, "mean") == "the same"


def test_every_row_serves_the_same_choices_on_the_same_slots(rows: list) -> None:
    assert [(row.method.row, row.replicated) for row in rows] == [
        *[("baseline", False)] * 2,
        *[("nearline", False), ("offline", False), ("baseline", True), ("nearline", True), ("offline", True)],
    ]
    for row in rows:
        assert row.held_out.shape == (10,) and row.device_tokens.shape == (2, 10, 16)
        for planned in row.planned:
            assert planned.replicas.table.shape == (16, 3)
            # The shared expert is on every side, once in every row of the grid.
            assert planned.replicas.count[32] == 4
            assert (planned.replicas.count[:32].max() > 1) == row.replicated


def test_without_swaps_there_is_no_search(trace: RoutingTrace) -> None:
    batches = [drawn(trace, 0, 64, 4, 0, 2)]
    assert [row.method.row for row in compare(batches, batches, Setting(TORUS, 3, False, swaps=0))] == [
        *["baseline", "baseline", "nearline", "baseline", "nearline"]
    ]


def test_for_par_quick_plans_are_chosen_by_it_and_none_is_searched(trace: RoutingTrace) -> None:
    # Small batches, where latency and loads ask for different plans.
    batches = [drawn(trace, 0, 16, 4, 0, 8)]
    for_par, for_mean = (
        compare(batches, batches, Setting(TORUS, 3, False, swaps=1, objective=name)) for name in (PAR, "mean")
    )
    assert [row.method.row for row in for_par] == ["baseline", "baseline", "nearline", "baseline", "nearline"]
    nearline = [min(row.figure(PAR) for row in rows if row.method.row == "nearline") for rows in (for_par, for_mean)]
    assert nearline[0] < nearline[1]


def test_planned_methods_are_ordered_where_they_were_planned(rows: list) -> None:
    by_name = {(row.method.row, row.replicated): row.in_sample.mean() for row in rows}
    for replicated in (False, True):
        assert by_name["offline", replicated] <= by_name["nearline", replicated] <= by_name["baseline", replicated]


def test_a_batch_takes_the_sum_of_its_layers(rows: list) -> None:
    frame = frame_of(rows, 50, 0)
    assert np.allclose(frame["mean"], [row.layers.sum(axis=0).mean() for row in rows])
    for name in ("mean", "p95", "p99"):
        high, low = frame[f"{name} high"], frame[f"{name} low"]
        assert (low <= high).all() if name == "mean" else high.isna().all()
    assert np.allclose(frame["even PAR"], [row.even_par.mean() for row in rows]) and frame.number.tolist() == list(
        range(1, 8)
    )
    assert set(printed(frame)["p99 high"]) == {"unknown"}


def test_what_is_deployed_is_the_best_held_out_and_compared_with_the_next(rows: list) -> None:
    chosen = rows[best(rows, "p95")]
    assert all(statistic(chosen.held_out, "p95") <= statistic(row.held_out, "p95") for row in rows)
    deploy, expect, following, *_, few = verdict(rows, "p95", 100, 0)
    routers = ", ".join(dict.fromkeys(chosen.routers))
    assert deploy == (
        f"Deploy row {best(rows, 'p95') + 1}: {chosen.name}, router {routers}, the best of 7 rows by the held-out p95."
    )
    assert f"p95 {statistic(chosen.held_out, 'p95'):.1f} us (" in expect and expect.endswith(
        "measured on 10 batches of held-out requests."
    )
    assert following.startswith("Next: row ") and few == (
        f"No upper end of p95 and p99 is known. The largest of 10 held-out batches ({chosen.held_out.max():.1f} us) "
        "exceeds the true p95 with 40 % and the true p99 with 10 % probability; 97.5 % takes 72 and 368 batches. Next: "
        "a longer trace, or a smaller --share, which leaves more requests for measuring."
    )


def test_for_a_policy_the_row_of_the_lowest_even_par_is_named(rows: list) -> None:
    level, mean = best(rows, PAR), best(rows, "mean")
    assert rows[level].figure(PAR) < rows[mean].figure(PAR)
    least, other = rows[level].figure(PAR), rows[mean].figure(PAR)
    told = f"For a policy export plans/{level + 1}.npz (even PAR {least:.3f} against {other:.3f}), or choose by it"
    assert told in " ".join(verdict(rows, "mean", 50, 0))
    deploy, expect, *_ = verdict(rows, PAR, 50, 0)
    assert deploy.endswith("the best of 7 rows by the held-out even PAR.") and " us" not in expect


def test_a_row_that_is_lower_in_another_statistic_is_named(rows: list) -> None:
    chosen, other = best(rows, "mean"), best(rows, "p99")
    told = f"Row {other + 1} has a lower p99: {rows[other].figure('p99'):.1f} us against "
    assert (told in " ".join(verdict(rows, "mean", 50, 0))) == (rows[other].figure("p99") < rows[chosen].figure("p99"))


def test_slots_that_hold_no_shared_expert_are_refused(trace: RoutingTrace) -> None:
    batches = [drawn(trace, 0, 64, 4, 0, 2).with_shared()]
    with pytest.raises(Problem, match=r"Got: 32 slots: 4 x 4 devices of 2. Expected: 36 or more: 32 experts and the"):
        compare(batches, batches, Setting(TORUS, 2, True))


def test_recommend_writes_a_plan_with_its_router_tables_a_page_and_a_record(
    trace: RoutingTrace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / f"{name}.npz" for name in ("a", "b")]
    for path in paths:
        save_trace(path, trace)
    output, config = tmp_path / "out", tmp_path / "recommend.yaml"
    names = ", ".join(map(str, paths))
    config.write_text(f"traces: [{names}]\nbatch: 64\nswaps: 9\nobjective: p99\nno_plots: true\n", encoding="utf-8")
    assert run("recommend", "--config", config, "--swaps", 50, "--output", output) == 0
    shown, told = capsys.readouterr()
    assert "| b | 13 | 7 | two-stage, with replicas |" in shown and "## Data sets" in shown
    assert told.count(" ... ") == 7 and "row 7, two-stage, with replicas ... " in told
    made, record = load_plan(output / "plan.npz"), json.loads((output / "run.json").read_text())
    assert len(made.routers) == 2 and made.sources == (digest(paths[0]), digest(paths[1]))
    for table, order in zip(made.table, made.order, strict=True):
        replicas_of(table, 32, order)
    assert [record["settings"][name] for name in ("swaps", "batch", "objective")] == [50, 64, "p99"]
    assert record["sha256"]["plan"] == digest(output / "plan.npz") and record["versions"]["numpy"] == np.__version__
    assert record["recommendation"][0] in (output / "recommendation.html").read_text()
    number = record["recommendation"][0].split(":")[0].removeprefix("Deploy row ")
    assert sorted(path.stem for path in (output / "plans").iterdir()) == list("1234567")
    assert (output / "plans" / f"{number}.npz").read_bytes() == (output / "plan.npz").read_bytes()
    assert run("simulate", paths[0], output / "plans" / "3.npz", "--batch", 64) == 0
    assert "In sample" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_plan_with_any_number_of_jobs(trace: RoutingTrace, tmp_path: Path) -> None:
    save_trace(tmp_path / "t.npz", trace)
    hashes = []
    for name, jobs in (("one", 1), ("two", 2)):
        options = (
            "--split",
            "random",
            "--batch",
            64,
            "--swaps",
            50,
            "--draws",
            10,
            "--no-plots",
            "--seed",
            5,
            "--jobs",
            jobs,
        )
        assert run("recommend", tmp_path / "t.npz", *options, "--output", tmp_path / name) == 0
        hashes.append(digest(tmp_path / name / "plan.npz"))
        text = (tmp_path / name / "recommendation.md").read_text()
        assert "No plan is replaced online: with --split random the file's order is not time." in text
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("[1]", "the configuration has no settings. Got: list. Expected: settings, for example `slots: 3`. Next"),
        ("speed: 1", "the configuration has an unknown setting. Got: 'speed'. Expected: one of traces, grid, slots, "),
        ("slots: three", "the setting slots is wrong. Got: 'three'. Expected: an integer. Next: correct the file."),
        ("slots: true", "the setting slots is wrong. Got: True. Expected: an integer. Next: correct the file."),
        ("share: nan", "the setting share is wrong. Got: 'nan'. Expected: a number. Next: correct the file."),
        ("shared: 1", "the setting shared is wrong. Got: 1. Expected: true or false. Next: correct the file."),
        ("traces: a.npz", "the setting traces is wrong. Got: 'a.npz'. Expected: a list, each a path. Next"),
        ("objective: p50", "the setting objective is wrong. Got: 'p50'. Expected: one of mean, p95, p99, par. Next"),
        ("slots: 0\ntraces: [a.npz]", "--slots is too small. Got: 0. Expected: at least 1. Next: correct --slots."),
        ("share: .nan", "--share leaves no part. Got: nan. Expected: between 0 and 1. Next: correct --share."),
        ("batch: 8", "no trace is named. Got: none. Expected: TRACE, or traces in the configuration. Next: name one"),
        ("slots: [", "configuration: the configuration cannot be read. Got: ParserError: "),
    ],
)
def test_a_wrong_configuration_is_told_in_a_sentence(
    content: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.yaml").write_text(content, encoding="utf-8")
    assert run("recommend", "--config", tmp_path / "c.yaml") == 1
    assert text in capsys.readouterr().out


def test_without_matplotlib_the_page_says_what_to_install(
    trace: RoutingTrace, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    save_trace(tmp_path / "t.npz", trace)
    assert run("recommend", tmp_path / "t.npz", "--batch", 64, "--swaps", 0, "--output", tmp_path / "out") == 0
    told = "No plots: plots need matplotlib. Got: it is not installed."
    printed, page = capsys.readouterr().out, (tmp_path / "out" / "recommendation.html").read_text()
    assert told in printed and told in page
    # 25 batches in the order of the file.
    assert "Online replanning, held out" in page and "| t | replanned every 5 | row-aware | nearline |" in printed


def test_plots_are_inside_the_page(trace: RoutingTrace, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    save_trace(tmp_path / "t.npz", trace)
    assert run("recommend", tmp_path / "t.npz", "--batch", 64, "--swaps", 0, "--output", tmp_path / "out") == 0
    assert (tmp_path / "out" / "recommendation.html").read_text().count('src="data:image/png;base64,iVBOR') == 4
    linked = (
        "Plots, in [the page](recommendation.html): Latency of held-out batches; Load of devices; Layers; The chosen"
    )
    assert linked in (tmp_path / "out" / "recommendation.md").read_text()


def test_the_page_shows_names_as_text_and_says_why_plots_are_missing(rows: list) -> None:
    page = html_page(["<b>"], {"Methods": frame_of(rows, 10, 0)}, {}, "No plots: <none>")
    assert "<p>&lt;b&gt;</p>" in page and "No plots: &lt;none&gt;" in page and page.count("<tr>") == 8
