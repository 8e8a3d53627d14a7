"""The board: who is on it, what is measured and kept, what goes on after an interruption, and its text."""

from __future__ import annotations

import math
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

import leaderboard
from cases import grid_mapping
from commands import units
from commands.options import UsageError
from commands.places import GRIDS
from commands.units import units_of
from judging import board, families
from judging.board import CLAIRVOYANT, Place, Row, measure
from judging.board_page import BASELINE, MIX, STATIONARY, Header, mean_over_seeds, page, part_of, way
from judging.board_plots import draw
from judging.families import STREAMS, traces_of
from judging.ranking import patient
from placement.grid import grid_from_mapping
from placement.traces.files import manifest_beside
from placement.traces.yaml_file import read_yaml
from submissions import DECLINES, ROOT, write_policy
from traces.generation.generator import generate

CASES = [
    {"model": "DS-R1", "dataset": "LmSys", "ep": [2, 4]},
    {"model": "Qwen3", "dataset": "LmSys", "ep": [2]},
]
MODELS = {"DS-R1": {"layers": 1, "experts": 8}, "Qwen3": {"layers": 2, "experts": 8}}
NAMES = ["DS-R1/LmSys", "Qwen3/LmSys"]
DS_EPLB = ROOT / "starting_kit" / "policies" / "ds_eplb"
# The function form of the first edition, in a file of its own name.
FUNCTION = """
import numpy as np

def rebalance(hotness, n_device, n_red_expert):
    layers, experts = hotness.shape[1:]
    table = np.resize(np.arange(experts), (layers, n_device, (experts + n_red_expert) // n_device))
    return True, np.arange(layers), table, None
"""
LABELS = ["law", "physics", "sorry", "history", "medicine", "poems"]
BROKEN = "def rebalance(hotness, n_device, n_red_expert):\n    raise ValueError('no plan')\n"


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A tiny official grid, a board's folders, and the policies and traces of each run of the ingestion program."""
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid_mapping(window=1024, models=MODELS, cases=CASES)))
    monkeypatch.setitem(families.FAMILIES, "official", tmp_path / "grid.yaml")
    monkeypatch.setattr(leaderboard, "UNITS", tmp_path / "units")
    monkeypatch.setattr(leaderboard, "DRAWN", tmp_path / "drawn")
    runs: list[tuple[str, str]] = []
    ingest = units.ingest

    def noted(submission: Path, grid: Path, *rest: object) -> str:
        row = yaml.safe_load(grid.read_text())["cases"][0]
        runs.append((submission.name, f"{row['model']}/{row['dataset']}"))
        return ingest(submission, grid, *rest)

    monkeypatch.setattr(units, "ingest", noted)
    place = Place(tmp_path / "units", tmp_path / "drawn" / "traces", 10**7, 1)
    policies = {"ds_eplb": DS_EPLB, "still": write_policy(tmp_path / "still", DECLINES)}
    return SimpleNamespace(runs=runs, place=place, policies=policies, folder=tmp_path)


def board_of(tiny: SimpleNamespace, *arguments: object) -> tuple[int, str]:
    """The exit code of the command and the text that it wrote, on one seed."""
    options = ("--only", "static", "--seeds", 5, "--output", tiny.folder / "docs", "--date", "2026-01-02")
    code = leaderboard.main([str(argument) for argument in (*arguments, *options)])
    return code, (tiny.folder / "docs" / "leaderboard.md").read_text(encoding="utf-8")


def test_every_policy_has_a_row_for_each_case_and_nothing_finished_is_run_again(tiny: SimpleNamespace) -> None:
    lines: list[str] = []
    rows, failed = measure(traces_of("official", [5]), tiny.policies, tiny.place, lines.append)
    assert failed == {} and [row.policy for row in rows[:6]] == [CLAIRVOYANT] * 2 + ["ds_eplb"] * 2 + ["still"] * 2
    assert {row.score for row in rows if row.policy == "ds_eplb"} == {100.0}
    assert sorted(tiny.runs) == [(name, trace) for name in ("ds_eplb", "still") for trace in NAMES]
    # The traces of a seed are those that `compare` and the practice grid draw.
    manifests = [manifest_beside(folder / "traces", []) for folder in tiny.place.traces.iterdir()]
    origins = {name: entry["origin"] for manifest in manifests for name, entry in manifest["traces"].items()}
    assert [f"seed {5000 + NAMES.index(name)}," in origin for name, origin in origins.items()] == [True] * 2
    again, _ = measure(traces_of("official", [5]), tiny.policies, tiny.place, lines.append)
    assert again == rows and len(tiny.runs) == 4


def test_an_interrupted_board_goes_on_without_what_is_finished(
    tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    results_of, count = board.results_of, []

    def interrupted(*arguments: object) -> object:
        count.append(1)
        if len(count) == 3:
            raise KeyboardInterrupt
        return results_of(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(board, "results_of", interrupted)
        with pytest.raises(KeyboardInterrupt):
            measure(traces_of("official", [5]), tiny.policies, tiny.place, print)
    assert len(tiny.runs) == 2
    rows, _ = measure(traces_of("official", [5]), tiny.policies, tiny.place, print)
    assert len(tiny.runs) == 4 and len(set(tiny.runs)) == 4
    assert len(rows) == 3 * 3


def test_a_damaged_unit_is_measured_again_with_nothing_lost(tiny: SimpleNamespace) -> None:
    traces = traces_of("official", [5])
    policies = {"still": tiny.policies["still"]}
    rows, _ = measure(traces, policies, tiny.place, print)
    # Two references, and a policy on two traces.
    files = sorted(tiny.place.units.iterdir())
    assert len(files) == 4
    for file in files:
        file.write_bytes(file.read_bytes()[:-20])
    again, _ = measure(traces, policies, tiny.place, print)
    assert len(tiny.runs) == 4 and sorted(tiny.place.units.iterdir()) == files
    assert [row._replace(slowest_call_seconds=0) for row in again] == [
        row._replace(slowest_call_seconds=0) for row in rows
    ]


def test_traces_are_removed_where_there_is_no_room_and_drawn_again(tiny: SimpleNamespace) -> None:
    traces, lines = traces_of("official", [5]), []
    # 6144 or 5120 iterations, 8 or 16 experts, four bytes each: one fits, two do not.
    small = Place(tiny.place.units, tiny.place.traces, 450_000, 1)
    measure(traces, {"still": tiny.policies["still"]}, small, lines.append)
    here = [file.stem for file in tiny.place.traces.rglob("*.npy")]
    assert len(here) == 1 and [trace.bytes for trace in traces] == [196_608, 327_680]
    measure(traces, tiny.policies, small, lines.append)
    drawn = [line.split()[1].rstrip(",") for line in lines if line.startswith("  draws")]
    assert drawn == [*NAMES, *NAMES]
    with pytest.raises(UsageError, match=r"^--disk is smaller than a trace\. "):
        measure(traces_of("official", [6]), tiny.policies, Place(small.units, small.traces, 1000, 1), print)


def test_a_policy_that_fails_is_named_and_the_others_are_on_the_board(tiny: SimpleNamespace) -> None:
    code, text = board_of(tiny, write_policy(tiny.folder / "broken", BROKEN))
    assert code == 1
    assert "\n## Not on the board\n\n- broken: official, seed 5, DS-R1/LmSys: DS-R1/LmSys ep 2, call 1 " in text
    assert "\n| static | " in text and "\n| broken | " not in text.partition("## What was measured")[0]
    assert [run for run in tiny.runs if run[0] == "broken"] == [("broken", "DS-R1/LmSys")]


def test_a_policy_in_the_function_form_is_on_the_board_by_its_path(tiny: SimpleNamespace) -> None:
    (tiny.folder / "edition1.py").write_text(FUNCTION)
    code, text = board_of(tiny, tiny.folder / "edition1.py", write_policy(tiny.folder / "static", DECLINES))
    assert code == 0
    # The gallery has a `static` already.
    assert "\n| edition1 | " in text and f"\n| {tiny.folder / 'static'} | " in text


def test_the_text_comes_out_of_the_store_again(tiny: SimpleNamespace) -> None:
    first = board_of(tiny)
    runs = len(tiny.runs)
    assert board_of(tiny) == first and len(tiny.runs) == runs
    _, other = board_of(tiny)
    assert leaderboard.main(["--only", "static", "--seeds", "5", "--output", str(tiny.folder)]) == 0
    undated = (tiny.folder / "leaderboard.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in other.splitlines() if line not in undated] == [other.splitlines()[1]]


def test_what_is_not_there_is_named(tiny: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    assert leaderboard.main(["--only", "nobody"]) == 2
    assert leaderboard.main(["--quick", "nowhere/policy.py"]) == 2
    assert leaderboard.main(["--families", "requests"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("the gallery has no such policy. Got: nobody. Expected: template, ")
    assert lines[1].startswith("no policy was found. Got: no nowhere/policy.py. ")
    assert lines[2].startswith("the family requests is composed of recorded requests. Got: no file. ")


def test_the_gallery_is_every_folder_and_the_template() -> None:
    folders = sorted(path.parent.name for path in ROOT.glob("starting_kit/policies/*/policy.py"))
    assert list(leaderboard.gallery()) == ["template", *folders]


def test_the_board_and_the_whole_grid_have_their_units_in_common() -> None:
    traces = traces_of("official", [601])
    whole = grid_from_mapping(patient(read_yaml(GRIDS["official"], "grid")))
    stored = {"cases": [asdict(case) | {"trace_sha256": case.dataset} for case in whole.cases]}
    one_by_one = [unit for trace in traces for unit in units_of(DS_EPLB, trace.grid, stored)]
    assert units_of(DS_EPLB, whole, stored) == one_by_one and len(traces) == 7


def test_a_trace_of_a_family_is_what_the_generator_draws_from_its_seed() -> None:
    trace = traces_of("sample", [7])[1]
    profile = trace.new.profile
    values = generate(profile.parameters, *trace.shape, 7001)
    assert trace.name == "Qwen3/generated" and np.array_equal(trace.new.values(), values)
    alone = traces_of("independent", [7])
    assert len(alone) == 7 and all("every expert drifts alone" in trace.new.origin() for trace in alone)
    assert alone[0].made_of() != traces_of("official", [7])[0].made_of()


def test_streams_of_recorded_requests_are_a_family(tmp_path: Path) -> None:
    topk = np.random.default_rng(0).permuted(np.tile(np.arange(32, dtype=np.int16), (60, 24, 1)), axis=2)[..., :4]
    file = tmp_path / "requests.npz"
    np.savez(file, topk=topk, length=np.full(6, 10), category=np.array(LABELS))
    traces = traces_of("requests", [1, 2], file)
    assert [trace.new.name for trace in traces[:7]] == [f"GPT-OSS-20B/{name}" for name in STREAMS]
    assert traces[0].shape == (6144, 24, 32) and [case.ep for case in traces[0].grid.cases] == [8, 16]
    assert "switching every 700-2200 iterations" in traces[6].new.origin() and "seed 1006" in traces[6].new.origin()
    short = traces[0].new._replace(iterations=3)
    assert short.values().sum(axis=2).tolist() == [[512 * 4] * 24] * 3


def row(score: float, seed: int, policy: str = "p", dataset: str = "LmSys", model: str = "DS-R1", ep: int = 8) -> Row:
    return Row("f", seed, policy, f"{dataset} {ep}", model, dataset, ep, float(score), 1.5, 10, 0.25, "abcdefabcdefab")


def test_the_interval_is_of_the_seeds_means() -> None:
    # Means over cases 101, 103 and 105: mean 103, deviation 2, half 4.303 * 2 / sqrt(3).
    rows = [row(100, 1), row(102, 1, ep=16), row(103, 2), row(103, 2, ep=16), row(110, 3), row(100, 3, ep=16)]
    value = mean_over_seeds(rows)
    assert value.mean == pytest.approx(103) and value.high - value.mean == pytest.approx(4.303 * 2 / 3**0.5)
    assert math.isnan(mean_over_seeds(rows[:2]).high)
    assert way(rows, [row(112, 1)]) == pytest.approx(25)
    assert math.isnan(way(rows, [row(99, 1)]))


def test_cases_count_in_their_part() -> None:
    parts = [part_of(row(1, 1, dataset=d, model=m)) for m, d in [("DS-R1", "Mix"), ("DS-R1", "x"), ("Qwen3", "Mix")]]
    assert parts == [MIX, STATIONARY, "Qwen3"] and part_of(row(1, 1, dataset="d", model="M")) == "M/d"


def test_the_tables_of_hand_computed_numbers() -> None:
    rows = [
        row(score, seed, policy)
        for policy, by_seed in ((CLAIRVOYANT, (120, 124)), ("good", (110, 112)), ("bad", (90, 90)))
        for seed, score in enumerate(by_seed, 1)
    ]
    rows += [row(150, seed, CLAIRVOYANT, "Mix", ep=16) for seed in (1, 2)]
    rows += [row(s, seed, name, "Mix", ep=16) for name, s in (("good", 120), ("bad", 100)) for seed in (1, 2)]
    text = page(rows, Header("2026-01-02", {"good": "123", "bad": "456"}, {"numpy": "2.0"}, {}), None)
    # Half of the interval of 110 and 112: 12.706 * sqrt(2) / sqrt(2); with the constant 120 beside each, half of it.
    for line in (
        "For readers who compare policies. Measured on 2026-01-02, with numpy 2.0; seeds 1, 2.",
        f"| policy | all cases | {STATIONARY} | {MIX} | worst case, mean | worst case |",
        f"| {CLAIRVOYANT} | 136.00 ± 12.71 | 122.00 ± 25.41 | 150.00 ± 0.00 | 122.00 | 120.00 |",
        "| good | 115.50 ± 6.35 | 111.00 ± 12.71 | 120.00 ± 0.00 | 111.00 | 110.00 |",
        f"| {BASELINE} | 100.00 | 100.00 | 100.00 | 100.00 | 100.00 |",
        "| bad | 95.00 ± 0.00 | 90.00 ± 0.00 | 100.00 ± 0.00 | 90.00 | 90.00 |",
        # 15.5 of 36, 11 of 22, 20 of 50.
        "| good | 43 | 50 | 40 |",
        "| bad | -14 | -45 | 0 |",
        "| policy | ep 8 | ep 16 |",
        "| good | 111.00 | 120.00 |",
        "| good | 1.500 | 20 | 0.250 |",
        "| good | 123 |",
        "| f | 2 | DS-R1/Mix | abcdefabcdef |",
    ):
        assert line in text.splitlines()
    scores = [line.split(" | ")[0][2:] for line in text.split("Scores:")[1].split("\n\n")[1].splitlines()[2:]]
    assert scores == [CLAIRVOYANT, "good", BASELINE, "bad"]


def test_a_picture_is_the_same_for_the_same_rows_and_needs_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(110 + seed, seed, name) for name in (CLAIRVOYANT, "good") for seed in (1, 2)]
    with monkeypatch.context() as patch:
        for name in ("matplotlib", "matplotlib.figure"):
            patch.setitem(sys.modules, name, None)
        assert draw(rows) is None
    pytest.importorskip("matplotlib")
    picture = draw(rows)
    assert picture.startswith(b"<?xml") and b"Score by dataset" in picture and draw(rows) == picture
