"""`kit.py view`: what its page holds of a case, where it opens, and what is said of a run that it cannot show."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kit
from cases import A0, Answers, make_case, redeploy, steady_trace
from commands import view
from commands.runs import Summary
from kit_world import refused
from page_parser import HOSTILE, Page
from placement.decisions import pack
from placement.replay import replay
from submissions import ROOT
from viewed_run import COST, STORED, example, write_run
from viewer import content as page_content
from viewer.content import MOST_BINS, MOST_BYTES, MOST_LOADS, call_rows, content_of
from viewer.page import page
from viewer.pieces import pieces_of


@pytest.fixture(autouse=True)
def at_the_top(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths below where a command is typed are shortened."""
    monkeypatch.chdir(ROOT)


def shown(folder: Path, capsys: pytest.CaptureFixture[str], *options: object) -> str:
    """The page that the command writes of a folder."""
    file = folder / "page" / "view.html"
    assert kit.main(["view", str(folder), "--output", str(file), *map(str, options)]) == 0
    assert capsys.readouterr().out.endswith(f": {file}, 0.0 MB\n")
    return file.read_text(encoding="utf-8")


def said(folder: Path, capsys: pytest.CaptureFixture[str], *options: object) -> str:
    """What the command says that cannot show a folder."""
    last = refused(capsys, "view", folder, "--output", folder / "view.html", *options)
    assert not (folder / "view.html").exists()
    return last.removeprefix("kit.py: error: ").replace(f"{folder}/", "")


# What the page holds


def test_a_layer_is_cut_where_its_own_table_changed() -> None:
    pieces = pieces_of(example()[0], 3)
    # Layer 1 is applied in iteration 5, layer 0 in iterations 6 and 11, when call 2 is over for both.
    assert (pieces.calls.tolist(), pieces.edges.tolist()) == ([0, 1, 2], [[0, 6, 11, 12], [0, 5, 11, 12]])


def test_more_pieces_share_the_time_between_the_calls() -> None:
    pieces = pieces_of(example()[0], 5)
    assert (pieces.calls.tolist(), pieces.edges[0].tolist()) == ([0, 0, 1, 1, 2], [0, 3, 6, 8, 11, 12])


def test_a_redeployment_that_the_end_cuts_off_leaves_pieces_without_iterations() -> None:
    trace = steady_trace(iterations=5)
    measured = replay(trace, make_case(), Answers(redeploy([1, 0], [A0, A0])))
    assert pieces_of(measured, 1).edges.tolist() == [[0, 5, 5], [0, 5, 5]]
    content = content_of(measured, trace, COST)
    assert content["pieces"]["par"][-1] == [0, 0] and content["pieces"]["calls"][-1] == 1
    assert [(gain["layer"], gain["par"], gain["gained"]) for gain in content["gains"]] == [(1, None, 0.0)]


def test_what_a_redeployment_gained_is_held_against_the_slots_before_it() -> None:
    content = content_of(*example(), COST)
    columns = ("call", "layer", "changed", "first", "last", "par", "par_before", "gained", "paid")
    assert [tuple(gain[name] for name in columns) for gain in content["gains"]] == [
        (1, 1, 2, 6, 12, 1.5, 1.5, 0.0, 0.002),
        (1, 0, 3, 7, 11, 1.0, 1.5, 6.25, 0.003),
        (2, 0, 1, 12, 12, 1.25, 1.0, -0.625, 0.001),
    ]
    assert call_rows(content) == [(1, 4, 2, 2, 5, 6.25, 0.005), (2, 10, 1, 1, 1, -0.625, 0.001)]


def test_loads_are_means_over_the_pieces_and_curves_over_bins() -> None:
    measured, trace = example()
    content = content_of(measured, trace, COST, most_pieces=3)
    loads = np.frombuffer(base64.b64decode(content["loads"]["values"]), "<u2").reshape(3, 2, 4)
    assert content["loads"]["scales"] == [[4.0] * 2] * 3
    # Of 4, 2, 1 and the one that stands for 0.
    assert loads[2, 1].tolist() == [65535, 32768, 16384, 16384]
    assert content["pieces"]["par"] == [[1.5, 1.5], [1.0, 1.5], [1.25, 1.5]]
    curve = np.frombuffer(base64.b64decode(content["curve"]["values"]), "<u2").reshape(2, 12)
    assert (curve[0] / 65535 * content["curve"]["scale"] + 1).round(3).tolist() == [1.5] * 6 + [1.0] * 5 + [1.25]


def test_the_page_opens_at_the_costliest_moment_after_the_first_call() -> None:
    content = content_of(*example(), COST, most_pieces=3)
    # Layer 1 stands at 1.5 for 6 iterations; what came before the call was the same for every policy.
    assert content["start"] == {"piece": 1, "layer": 1}


def test_the_page_opens_at_the_costliest_moment_of_all_where_nothing_follows_a_call() -> None:
    trace = steady_trace(iterations=4)
    content = content_of(replay(trace, make_case(), Answers(None)), trace, COST)
    assert (content["start"], content["gains"]) == ({"piece": 0, "layer": 0}, [])


def test_the_largest_case_of_the_official_grid_has_room_for_its_loads() -> None:
    layers, experts, devices, calls = 58, 256, 256, 5
    loads = MOST_LOADS * 2
    moves = calls * layers * (2 * devices + 2 * devices // 8)
    curves = layers * MOST_BINS * 2
    rows = (MOST_LOADS // (layers * experts) + calls) * layers * 3 * 8 + calls * layers * 150
    assert (loads + moves + curves) * 4 / 3 + rows < 2.85e6 and loads + moves + curves < MOST_BYTES


def test_loads_take_what_slots_and_curves_leave_of_the_page(monkeypatch) -> None:
    def pieces() -> int:
        return len(content_of(*example(), COST)["pieces"]["calls"])

    # The two calls end three parts of time, of 6, 5 and 1 of the 12 iterations.
    assert pieces() == 12
    measured, trace = example()[:2]
    log, loads = pack(measured), trace.layers * trace.experts * 2
    taken = log["slots"].nbytes + log["experts"].size + trace.layers * trace.iterations * 2
    monkeypatch.setattr(page_content, "MOST_BYTES", taken + 6 * loads)
    assert pieces() == 3 + 2 + 1
    monkeypatch.setattr(page_content, "MOST_BYTES", taken - 1)
    assert pieces() == 3


# The command


def test_a_run_becomes_one_file_with_its_calls_and_no_remote_asset(tmp_path, capsys) -> None:
    text = shown(write_run(tmp_path), capsys, "--traces", tmp_path / "traces")
    read = Page(text)
    assert "<h1>M/d ep 2</h1>" in text and "Mean PAR (peak-to-average ratio) 1.3854, 6 changed slots." in text
    assert read.tables[1][1:] == [
        ["1", "4", "2", "2", "5", "+6.250", "-0.005", "+6.245"],
        ["2", "10", "1", "1", "1", "-0.625", "-0.001", "-0.626"],
    ]
    assert "://" not in text and not {name for name, _ in read.attributes} & {"src", "href"}
    content = json.loads(re.search(r'<script type="application/json" id="content">(.*)</script>', text)[1])
    assert content["sizes"] == {"layers": 2, "experts": 4, "devices": 2, "slots": 3, "iterations": 12}


def test_the_last_kept_run_is_taken_with_the_traces_that_it_had(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(view, "OUTPUT", tmp_path)
    assert "no run is kept" in refused(capsys, "view", "--output", tmp_path / "view.html")
    folder = write_run(tmp_path / "runs" / f"20260921T141320.125-{'a' * 12}")
    summary = Summary("mine", "tiny", 1.0, "-", str(folder / "traces"))
    (folder / "run.json").write_text(json.dumps(summary._asdict()))
    assert kit.main(["view", "--case", "M/d:2", "--output", str(tmp_path / "view.html")]) == 0
    assert f'<p class="faint">{folder.name}, mine</p>' in (tmp_path / "view.html").read_text(encoding="utf-8")


def test_nothing_of_a_name_becomes_markup() -> None:
    content = content_of(*example(), COST) | {"note": HOSTILE}
    text = page(HOSTILE, HOSTILE, {"mean_par": 1.5, "transmit_amount": 3}, content)
    read = Page(text)
    assert read.tags.count("script") == 2 and HOSTILE in read.texts


# What it cannot show


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        (
            {"grid": {"name": "final", "hidden": True}},
            [],
            "{run}: the page would show hidden traces. Got: the hidden grid final. Expected: a run on open traces. "
            "Next: view a run of another grid.",
        ),
        (
            {},
            [],
            "the run's traces are not known. Got: a run of the grid tiny. Expected: the folder of its traces. Next: "
            "name the folder with --traces.",
        ),
        (
            {},
            ["--case", "M/d:4"],
            "the run has no such case with status ok. Got: M/d:4. Expected: one of M/d:2. Next: correct --case.",
        ),
    ],
)
def test_a_run_that_cannot_be_shown_has_a_sentence(
    tmp_path: Path, capsys, content: dict[str, Any], options: list[str], expected: str
) -> None:
    folder = write_run(tmp_path, **content)
    assert said(folder, capsys, *options) == expected.replace("{run}", folder.name)


def test_a_log_that_is_missing_or_not_the_runs_own_has_a_sentence(tmp_path, capsys) -> None:
    folder = write_run(tmp_path)
    log = folder / "decisions.npz"
    log.write_bytes(log.read_bytes() + b"\0")
    assert re.fullmatch(
        r"decisions.npz: the log of decisions belongs to another run. Got: sha256 \w{64}. Expected: \w{64}. Next: copy "
        r"the "
        r"run's files again, or run the policy again.",
        said(folder, capsys),
    )
    log.unlink()
    assert kit.main(["view", str(folder)]) == 2
    assert "there is no log of decisions. Got: no such file." in capsys.readouterr().err


def test_another_trace_than_the_runs_and_a_sealed_one_have_a_sentence(tmp_path, capsys) -> None:
    folder = write_run(tmp_path)
    file = folder / "traces" / "M" / "d.npy"
    np.save(file, STORED + 1)
    assert re.fullmatch(
        r"trace M/d: the trace differs from the run's trace. Got: sha256 \w{64}. Expected: \w{64}. Next: name the "
        r"folder of the run's traces with --traces.",
        said(folder, capsys, "--traces", file.parents[1]),
    )
    file.rename(file.with_suffix(".sealed"))
    assert said(folder, capsys, "--traces", file.parents[1]) == (
        "trace M/d: the trace is sealed. Got: traces/M/d.sealed. Expected: a plain .npy or .npz. Next: view a run on "
        "other traces."
    )


def test_a_log_that_gives_other_numbers_than_the_run_is_refused(tmp_path, capsys) -> None:
    folder = write_run(tmp_path)
    results = json.loads((folder / "results.json").read_text())
    results["cases"][0]["transmit_amount"] = 7
    (folder / "results.json").write_text(json.dumps(results))
    assert said(folder, capsys, "--traces", folder / "traces") == (
        "M/d ep 2: the log of decisions gives other numbers than the run. Got: mean_par 1.385416666667, "
        "transmit_amount 6. Expected: "
        "mean_par 1.385416666667, transmit_amount 7. Next: use the kit that made the run."
    )
