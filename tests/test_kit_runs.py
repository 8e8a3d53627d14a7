"""`kit.py run` keeps what it ran, `runs` lists it, the page shows what changed, and `compare` takes two of them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import kit
from commands import runs
from commands.compare_runs import compare_runs
from commands.places import kit_command
from commands.runs import MOST, NAME, keep, kept, previous
from kit_world import write_kit_world
from page_parser import Page
from score_files import reference, results, write, write_results
from scores.parts import NAMES
from submissions import DECLINES, ROOT, write_policy

DS_EPLB = ROOT / "starting_kit" / "policies" / "ds_eplb"
RECEIPT = {"kit": "1.0.0", "simulator_sha256": "0a", "policy_sha256": "1b", "grid": "tiny", "grid_sha256": "2c"}
FILES = {"results.json", "series.npz", "explain.json", "decisions.npz", "ds_eplb.json", "run.json"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of two cases with its traces and reference."""
    return write_kit_world(tmp_path_factory.mktemp("world"))


def run(world: Path, policy: Path, *options: str) -> int:
    """`kit.py run` on the grid."""
    paths = {name: world / name for name in ("traces", "reference", "output")} | {"grid": world / "grid.yaml"}
    return kit.main(
        ["run", str(policy), *(str(t) for name, path in paths.items() for t in (f"--{name}", path)), *options]
    )


@pytest.fixture(scope="module")
def ran(world: Path) -> SimpleNamespace:
    """Two runs of the whole grid, one that fails, and one of a single case; the pages of the first two."""
    declines, bad = (write_policy(world / name, source) for name, source in (("idle", DECLINES), ("bad", "1 / 0\n")))
    page, pages = world / "output" / "scoring" / "detailed_results.html", []
    for policy in (declines, DS_EPLB):
        assert run(world, policy) == 0
        pages.append(Page(page.read_text(encoding="utf-8")))
    assert run(world, bad) == 1
    assert run(world, DS_EPLB, "--case", "Small/one") == 0
    return SimpleNamespace(pages=pages, folders=kept(world / "output"), idle=declines, bad=bad)


def made_up(folder: Path, second: float = 0, **changes: object) -> Path:
    """An output folder after a made-up run that began so many seconds after 2026-09-21 14:13:20 UTC."""
    content = results(**changes) | {"receipt": RECEIPT, "started_seconds": 1_790_000_000.125 + second}
    write_results(folder / "prediction", content)
    write(folder / "scoring" / "scores.json", {"composite_score": 101.5})
    write(folder / "reference" / "ds_eplb.json", reference())
    return folder


def keep_made_up(folder: Path, second: float = 0, **changes: object) -> Path | None:
    """Keep such a run."""
    made_up(folder, second, **changes)
    return keep(folder, folder / "reference", folder / "my_policy")


# What is kept


def test_a_run_of_a_whole_grid_is_kept_with_what_compares_it(ran: SimpleNamespace) -> None:
    assert [NAME.fullmatch(folder.name) is not None for folder in ran.folders] == [True] * 3
    held = [{path.name for path in folder.iterdir()} for folder in ran.folders]
    assert held == [FILES | {"scores.json"}, FILES | {"scores.json"}, FILES]
    assert len({folder.name.split("-")[1] for folder in ran.folders}) == 3, "each policy has a receipt of its own"


def test_a_run_is_called_by_its_time_and_a_hash_of_its_receipt(tmp_path: Path) -> None:
    first, again = (keep_made_up(tmp_path, second) for second in (0, 3600))
    # printf 'receipt: kit 1.0.0, simulator 0a, policy 1b, grid tiny 2c' | sha256sum
    assert [folder.name for folder in (first, again)] == [
        "20260921T141320.125-a91425bdff0d",
        "20260921T151320.125-a91425bdff0d",
    ]


@pytest.mark.parametrize("policies", ["ab", "ba"])
def test_two_runs_of_one_second_are_kept_in_their_order(tmp_path: Path, monkeypatch, policies: str) -> None:
    folders = []
    for number, policy in enumerate(policies):
        monkeypatch.setitem(RECEIPT, "policy_sha256", policy)
        folders.append(keep_made_up(tmp_path, number / 2))
    assert kept(tmp_path) == folders


def test_only_the_last_runs_are_kept_and_no_other_file_is_touched(tmp_path: Path) -> None:
    folder = keep_made_up(tmp_path)
    mine = [tmp_path / "runs" / name for name in ("00000000T000000.000-mine", "best")]
    for path in mine:
        path.mkdir()
    for second in range(1, MOST):
        shutil.copytree(folder, tmp_path / "runs" / f"20260921T1500{second:02}.000-{'0' * 12}")
    assert keep_made_up(tmp_path, 7200).name.startswith("20260921T161320.125-")
    names = [path.name for path in kept(tmp_path)]
    assert len(names) == MOST and not folder.exists() and names[-1].startswith("20260921T161320.125-")
    assert all(path.is_dir() for path in mine)


@pytest.mark.parametrize("status", ["refused", "data_unavailable", "scored"])
def test_a_run_that_measured_nothing_or_fits_no_reference_is_not_kept(tmp_path: Path, status: str) -> None:
    made_up(tmp_path)
    content = json.loads((tmp_path / "prediction" / "results.json").read_bytes())
    write(tmp_path / "prediction" / "results.json", content | {"status": status})
    (tmp_path / "scoring" / "scores.json").unlink()
    assert keep(tmp_path, tmp_path / "reference", tmp_path) is None and kept(tmp_path) == []


def test_a_run_that_cannot_be_kept_keeps_its_score(ran, world: Path, tmp_path: Path, capfd) -> None:
    (tmp_path / "runs").write_text("in the way")
    assert run(world, DS_EPLB, "--output", str(tmp_path)) == 0
    printed = capfd.readouterr()
    assert printed.out.splitlines()[-1] == "composite_score: 100.0000"
    assert printed.err.startswith("kit.py run: this run is not kept: ")


# What is listed


def test_runs_are_listed_with_the_newest_last(ran, world: Path, capsys) -> None:
    assert kit.main(["runs", "--output", str(world / "output")]) == 0
    lines = [re.split("  +", line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["run", "policy", "grid", "composite_score", "official_estimate"]
    assert [line[0] for line in lines[1:]] == [folder.name for folder in ran.folders]
    policies = [str(ran.idle), "starting_kit/policies/ds_eplb", str(ran.bad)]
    assert [line[1:3] for line in lines[1:]] == [[policy, "tiny"] for policy in policies]
    assert re.fullmatch(r"\d+\.\d{4}", lines[1][3]) and [line[3:] for line in lines[2:]] == [
        ["100.0000", "-"],
        ["failed", "-"],
    ]


def test_a_damaged_run_is_listed_as_such_and_an_empty_list_says_what_to_do(tmp_path: Path, capsys) -> None:
    assert kit.main(["runs", "--output", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"No run is kept in {tmp_path / 'runs'}. Next: {kit_command('run')}\n"
    folder = keep_made_up(tmp_path)
    for text in ("{", "5", '{"policy": "p"}'):
        (folder / "run.json").write_text(text)
        assert kit.main(["runs", "--output", str(tmp_path)]) == 0
        assert capsys.readouterr().out.splitlines()[1].split() == [folder.name, "-", "-", "damaged", "-"]


# What the page shows


def test_the_page_shows_what_changed_since_the_last_run(ran: SimpleNamespace) -> None:
    first, second = ran.pages
    assert not any(cell.startswith("since") for table in first.tables for row in table for cell in row)
    (cases,) = [table for table in second.tables if "since another policy" in table[0]]
    place = cases[0].index("since another policy")
    scores = [json.loads((folder / "scores.json").read_bytes())["composite_score"] for folder in ran.folders[:2]]
    changes = [float(row[place]) for row in cases[1:]]
    assert len(changes) == 2 and all(re.fullmatch(r"[+-]\d+\.\d\d", row[place]) for row in cases[1:])
    assert np.mean(changes) == pytest.approx(scores[1] - scores[0], abs=0.01)
    assert [page.texts[page.texts.index("Policy: ") + 1] for page in ran.pages] == [
        str(ran.idle),
        "starting_kit/policies/ds_eplb",
    ]
    assert f"Where the seconds go, since the last run, of {ran.idle}" in second.texts
    assert ran.folders[0].name in second.texts and f": composite_score {scores[1] - scores[0]:+.4f}." in second.texts


def test_the_page_shows_what_changed_in_each_part_of_the_seconds(ran: SimpleNamespace) -> None:
    # A cell is the run's number and DS-EPLB's.
    tables = [page.tables[2][1:] for page in ran.pages]
    first, second = ({row[0]: [cell.split()[0] for cell in row[1:7]] for row in table} for table in tables)
    assert not any("since the last run" in text for text in ran.pages[0].texts)
    headings, *rows = ran.pages[1].tables[3]
    assert headings == ["case", "above balance s", "fixed", "roll-out", "settled", "clairvoyant's own", "transfer"]
    assert [row[0] for row in rows] == list(second) and rows[-1][0] == "all cases"
    for name, *changes in rows:
        assert all(re.fullmatch(r"[+-]\d+\.\d{3}", change) for change in changes)
        expected = [float(new) - float(old) for old, new in zip(first[name], second[name], strict=True)]
        assert [float(change) for change in changes] == pytest.approx(expected, abs=0.0015)
        assert changes[1] == changes[4] == "+0.000" and float(changes[5]) > 0


def test_the_last_run_is_the_last_of_the_same_policy_with_a_score_on_these_traces(ran, world, tmp_path: Path) -> None:
    place = world / "output", world / "reference"
    assert previous(*place, DS_EPLB) == (ran.folders[1], "") and previous(*place, ran.idle) == (ran.folders[0], "")
    # The newest has no score, and there is no other run of its policy.
    assert previous(*place, ran.bad) == (ran.folders[1], "starting_kit/policies/ds_eplb")
    first, mine = keep_made_up(tmp_path), tmp_path / "my_policy"
    keep_made_up(tmp_path, 60, trace_sha256="another")
    assert previous(tmp_path, tmp_path / "reference", mine) == (first, "")
    assert previous(tmp_path, world / "reference", mine) is None and previous(tmp_path / "none", world, mine) is None


# Two runs


def test_two_runs_are_compared_case_by_case_without_a_verdict(ran, capsys, tmp_path: Path) -> None:
    names = [str(folder) for folder in ran.folders[:2]]
    assert kit.main(["compare", *names, "--csv", str(tmp_path / "table.csv")]) == 0
    lines = capsys.readouterr().out.splitlines()
    called = [f"{ran.folders[0].name}, {ran.idle}", f"{ran.folders[1].name}, starting_kit/policies/ds_eplb"]
    assert lines[:2] == [f"A: {called[0]}", f"B: {called[1]}"]
    assert lines[2].split() == ["A", "B", "B", "-", "A"]
    assert [re.split("  +", line)[0] for line in lines[3:6]] == ["Small/one ep 4", "Large/two ep 8", "composite_score"]
    a, b, change = map(float, re.split("  +", lines[5])[1:])
    assert b == 100 and change == pytest.approx(b - a)
    assert re.split("  +", lines[6]) == ["seconds, B - A", "above balance s", *NAMES]
    rows = {row[0]: row[1:] for row in (re.split("  +", line) for line in lines[7:12])}
    small, large, change_of_all, mine, theirs = (np.array(list(map(float, row))) for row in rows.values())
    assert list(rows) == ["Small/one ep 4", "Large/two ep 8", *(f"all cases{of}" for of in ("", ", A", ", B"))]
    assert change_of_all == pytest.approx(theirs - mine, abs=0.0015)
    assert change_of_all == pytest.approx(small + large, abs=0.0025)
    assert change_of_all[[1, 4]].tolist() == [0, 0] and change_of_all[5] > 0
    assert lines[-1] == (
        f"composite_score: B - A = {change:+.4f}; one set of traces gives no verdict. "
        "Next: compare the two policies, over seeds, with kit.py compare POLICY POLICY"
    )
    header = (tmp_path / "table.csv").read_text().splitlines()[0]
    assert header.startswith(f'case,"A {called[0]}","B {called[1]}",A sd,B sd,B - A,')


def test_a_run_is_found_by_the_name_that_is_listed(ran, world: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(runs, "OUTPUT", world / "output")
    assert kit.main(["compare", ran.folders[0].name, ran.folders[0].name]) == 0
    assert "composite_score: B - A = +0.0000; " in capsys.readouterr().out


def test_how_a_run_s_name_begins_is_enough_where_no_other_begins_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(runs, "OUTPUT", tmp_path)
    first, second = (keep_made_up(tmp_path, second) for second in (0, 60))
    assert [runs.find_run(Path(name)) for name in ("20260921T1413", "20260921T1414")] == [first, second]
    expected = "Expected: a name that kit.py runs prints, or the run's folder. Next: correct the name."
    for name, what in (("20260921", "there are several such runs"), ("20260922T", "there is no such run")):
        with pytest.raises(runs.UsageError) as caught:
            runs.find_run(Path(name))
        assert str(caught.value) == f"{what}. Got: {name}. {expected}"
    assert runs.find_run(Path("my_policy")) is None


def test_runs_of_different_grids_are_told_by_the_grids_names(tmp_path: Path, monkeypatch) -> None:
    first = keep_made_up(tmp_path)
    monkeypatch.setitem(RECEIPT, "grid", "practice")
    second = keep_made_up(tmp_path / "other", trace_sha256="another")
    with pytest.raises(runs.UsageError) as caught:
        compare_runs([first, second])
    assert f"Got: {second.name}, on the grid practice, DS-R1/made-up ep 64 was measured" in str(caught.value)
    assert f"traces of {first.name}, on the grid tiny. {CHOOSE}" in str(caught.value)


CHOOSE = "Next: choose among the runs that kit.py runs prints."
GRIDS = "the runs are of different grids or traces. Got: {other}, "


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("{first} {first} {first}", "runs are compared two at a time. Got: 3. Expected: RUN RUN. Next: name two runs."),
        ("{first}", "runs are compared two at a time. Got: 1. Expected: RUN RUN. Next: name two runs."),
        (
            "{first} {failed}",
            f"a run has no score. Got: {{failed.name}}: failed. Expected: two runs with a composite_score. {CHOOSE}",
        ),
        (
            "{made} {traces}",
            "the runs are of different grids or traces. Got: {traces.name}, DS-R1/made-up ep 64 was measured with "
            f"another trace_sha256. Expected: the cases and traces of {{made.name}}. {CHOOSE}",
        ),
        (
            "{first} {made}",
            "the runs are of different grids or traces. Got: {made.name}, cases are missing. Expected: the cases "
            f"and traces of {{first.name}}. {CHOOSE}",
        ),
        (
            "{first} {policy}",
            "a run is compared with a policy. Got: {policy}. Expected: RUN RUN, or POLICY POLICY. "
            "Next: name two runs, or two policies.",
        ),
        (
            "{first} {first} --case Small/one",
            "an option does not go with two runs. Got: --case. Expected: RUN RUN alone. Next: leave --case out.",
        ),
        (
            "{first} {first} --first-seed 5",
            "an option does not go with two runs. Got: --first-seed. Expected: RUN RUN alone. "
            "Next: leave --first-seed out.",
        ),
        (
            "20260921T141320.125-0123456789ab {first}",
            "there is no such run. Got: 20260921T141320.125-0123456789ab. Expected: a name that kit.py runs prints, or "
            "the run's folder. Next: correct the name.",
        ),
    ],
)
def test_what_cannot_be_compared_is_said_in_a_sentence(ran, tmp_path: Path, capsys, words: str, text: str) -> None:
    made = keep_made_up(tmp_path)
    traces = keep_made_up(tmp_path / "other", trace_sha256="another")
    names = {"first": ran.folders[0], "failed": ran.folders[2], "made": made, "traces": traces, "policy": DS_EPLB}
    with pytest.raises(SystemExit) as ended:
        kit.main(["compare", *words.format(**names).split()])
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert printed.err.splitlines()[-1] == f"kit.py: error: {text.format(**names)}"
