"""`kit.py compare`: policies on seeds of generated traces, which are kept, and what it says of them."""

from __future__ import annotations

import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import yaml

import kit
from commands import compare_plot, seeds
from commands.compare_plot import draw
from commands.compare_table import side_by_side
from commands.places import GRIDS, TRACES
from commands.seeds import FIRST_SEED, Draws, announce, folder_of, recipes
from commands.selection import read_grid
from kit_world import write_kit_world
from submissions import DECLINES, ROOT, write_policy
from traces.generation.generator import generate

GALLERY = ROOT / "starting_kit" / "policies"
DS_EPLB, STATIC = GALLERY / "ds_eplb", GALLERY / "static"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of two cases with its traces and reference; what is drawn for it is kept for all tests."""
    return write_kit_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def compared(world: Path) -> list[str]:
    """What `kit.py compare` prints of two policies on two seeds, which it draws."""
    with redirect_stdout(StringIO()) as printed:
        assert kit.main(["compare", str(STATIC), str(DS_EPLB), *on(world), "--seeds", "2"]) == 0
    return printed.getvalue().splitlines()


def on(world: Path) -> list[str]:
    """The options that name the tiny grid and what belongs to it."""
    paths = ("--grid", world / "grid.yaml", "--traces", world / "traces", "--output", world / "compare")
    return [str(text) for text in (*paths, "--iterations", 30)]


@pytest.fixture
def compare(world: Path, compared: list[str], capsys: pytest.CaptureFixture[str]):
    """`kit.py compare` on the tiny grid, where two seeds are drawn already: the exit code and the lines printed."""

    def run(*arguments: object) -> tuple[int, list[str]]:
        code = kit.main(["compare", *map(str, arguments), *on(world)])
        return code, capsys.readouterr().out.splitlines()

    return run


def test_two_copies_of_a_policy_are_a_tie(compare, tmp_path: Path) -> None:
    source = (DS_EPLB / "policy.py").read_text(encoding="utf-8")
    first, second = (write_policy(tmp_path / name, source) for name in ("first", "second"))
    code, lines = compare(first, second, "--seeds", 2)
    assert code == 0
    assert lines[-1] == "composite_score: B - A = +0.0000 (95 %: +0.0000 .. +0.0000) over 2 seeds: tie"
    assert f"A: {first}" in lines and f"B: {second}" in lines
    assert f"seed {FIRST_SEED}: A 100.0000, B 100.0000" in lines
    (row,) = [line for line in lines if line.startswith("Large/two ep 8")]
    scores, spreads = ["100.0000"] * 2, ["0.0000"] * 2
    assert row.split() == ["Large/two", "ep", "8", *scores, *spreads, "+0.0000", "±", "0.0000"]
    (row,) = [line for line in lines if line.startswith("composite_score ")]
    assert row.split()[-1] == "tie"


def test_the_baseline_scores_100_on_every_seed(compared: list[str]) -> None:
    assert [line.split(": A ")[0] for line in compared if line.endswith(", B 100.0000")] == [
        f"seed {FIRST_SEED + n}" for n in (0, 1)
    ]


@pytest.mark.usefixtures("compared")
def test_seeds_differ_and_have_the_grid_s_shapes(world: Path) -> None:
    first, second = (sorted((world / "compare").glob(f"*/seed-{FIRST_SEED + n}/traces/*/*.npy")) for n in (0, 1))
    assert {tuple(np.load(path).shape) for path in first} == {(30, 2, 4), (30, 3, 8)}
    assert all((np.load(a) != np.load(b)).any() for a, b in zip(first, second, strict=True))


def test_python_gets_a_table_and_seeds_are_kept(compared: list[str], world: Path) -> None:
    kept = {path: path.stat().st_mtime_ns for path in (world / "compare").rglob("*.npy")}
    paths = {"traces": world / "traces", "output": world / "compare"}
    shown: list[str] = []
    options = {"grid": world / "grid.yaml", "seeds": 2, "iterations": 30, "show": shown.append}
    table = kit.compare(STATIC, DS_EPLB, **options, **paths)
    assert shown == [line for line in compared if ": A " in line and line.startswith("seed ")]
    assert {path: path.stat().st_mtime_ns for path in (world / "compare").rglob("*.npy")} == kept
    assert list(table.index) == ["Small/one ep 4", "Large/two ep 8", "composite_score"]
    assert list(table.columns) == ["A", "B", "A sd", "B sd", "B - A", "B - A low", "B - A high", "B - A verdict"]
    assert table.loc["composite_score", "B"] == 100
    assert table.loc["composite_score", "A"] == pytest.approx(table["A"].iloc[:2].mean())
    assert table.attrs["verdicts"] == compared[-1:]


def test_the_traces_of_a_seed_have_seeds_of_their_own(world: Path) -> None:
    path = world / "grid.yaml"
    grid, drawn = read_grid(path), []
    for cases in (grid.cases, grid.cases[1:]):
        recipe = recipes(grid, cases, world / "traces", 30)[-1]
        kept = folder_of(world / "compare", path, cases, [recipe])
        draws = Draws(kept, path, cases, recipes(grid, cases, world / "traces", 30))
        seeds.make_world(draws, 7, 1, print)
        drawn.append(np.load(kept / "seed-7" / "traces" / "Large" / "two.npy"))
    assert [recipe.number for recipe in recipes(grid, grid.cases, world / "traces", 30)] == [0, 1]
    assert (drawn[0] == generate(recipe.profile.parameters, 30, 3, 8, 7001)).all()
    assert (drawn[0] == drawn[1]).all(), "a trace of some cases is the one of all cases"


def test_what_is_drawn_is_announced_with_its_size(compared: list[str], world: Path, tmp_path: Path) -> None:
    grid, told = read_grid(world / "grid.yaml"), []
    drawn = recipes(grid, grid.cases, world / "traces", 20_000)
    announce(Draws(tmp_path, world / "grid.yaml", grid.cases, drawn), range(3), told.append)
    # 20 000 iterations, 2 * 4 and 3 * 8 experts, three seeds, four bytes each.
    assert told == [f"draws 6 traces, 7.7 MB, into {tmp_path}"]
    assert compared[0].startswith(f"draws 4 traces, 0.0 MB, into {world / 'compare'}")


def test_the_help_tells_how_large_a_seed_of_the_practice_grid_is(tmp_path: Path, capsys) -> None:
    file, told = GRIDS["practice"], []
    grid = read_grid(file)
    announce(Draws(tmp_path, file, grid.cases, recipes(grid, grid.cases, TRACES, None)), [1], told.append)
    assert told == [f"draws 3 traces, 976.2 MB, into {tmp_path}"]
    with pytest.raises(SystemExit, match="0"):
        kit.main(["compare", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert (
        "draw traces from N seeds (default: 5) and keep them, about 976 MB per seed for the practice grid; 0: use"
        in text
    )


def test_the_reference_is_measured_with_the_jobs_of_compare(world: Path, tmp_path: Path, monkeypatch) -> None:
    called = []
    monkeypatch.setattr(seeds, "run_quiet", lambda *arguments: called.append(arguments) or (2, "none"))
    with pytest.raises(kit.UsageError, match=r"^there is no reference for seed 1001\. Got: none\. "):
        kit.compare(STATIC, STATIC, grid=world / "grid.yaml", iterations=30, jobs=3, output=tmp_path)
    assert called[0][-2:] == ("--jobs", 3)


def test_seeds_are_kept_apart_for_all_that_makes_them(world: Path, tmp_path: Path, monkeypatch) -> None:
    path = world / "grid.yaml"
    grid = read_grid(path)
    generation, profiles = (
        Path(shutil.copytree(folder, tmp_path / folder.name)) for folder in (seeds.GENERATION, seeds.FOLDER)
    )

    def place() -> Path:
        return folder_of(tmp_path, path, grid.cases, recipes(grid, grid.cases, world / "traces", 30))

    shipped = place()
    monkeypatch.setattr(seeds, "GENERATION", generation)
    monkeypatch.setattr(seeds, "FOLDER", profiles)
    assert place() == shipped, "where the repository lies makes no difference"
    name = recipes(grid, grid.cases, world / "traces", 30)[0].profile.name
    places = [shipped]
    for file in (generation / "counts.py", profiles / f"{name}.yaml"):
        file.write_bytes(file.read_bytes() + b"# changed\n")
        places.append(place())
    monkeypatch.setattr(seeds, "simulator_sha256", lambda: "another")
    places.append(place())
    assert len(set(places)) == 4


def test_three_policies_have_three_verdicts_and_some_cases_no_composite_score(compare) -> None:
    code, lines = compare(STATIC, DS_EPLB, STATIC, "--seeds", 2, "--case", "Large/two:8")
    assert code == 0 and "composite_score" not in "\n".join(lines)
    verdicts = lines[-3:]
    assert [line.partition(" = ")[0] for line in verdicts] == [
        f"mean of 1 of 2 cases: {pair}" for pair in ("B - A", "C - A", "C - B")
    ]
    assert verdicts[1].endswith(" over 2 seeds: tie")


def test_on_given_traces_there_is_no_verdict(compare, world: Path) -> None:
    code, lines = compare(STATIC, DS_EPLB, "--seeds", 0, "--reference", world / "reference")
    score = kit.run(STATIC, *(world / name for name in ("grid.yaml", "traces", "reference"))).attrs["composite_score"]
    assert code == 0 and lines[0] == f"these traces: A {score:.4f}, B 100.0000"
    assert (
        lines[-1] == f"composite_score: B - A = {100 - score:+.4f}; one set of traces gives no verdict. Next: --seeds 5"
    )


def test_a_policy_that_fails_is_named(compare, tmp_path: Path) -> None:
    bad = write_policy(tmp_path, DECLINES.replace("False, None", "1 / 0, None"))
    code, lines = compare(STATIC, bad, "--seeds", 1)
    assert code == 1
    message = "call 1 (iteration 4): the policy raised an exception. Got: ZeroDivisionError: division by zero "
    assert any(line.startswith(f"B: {bad}: Small/one ep 4, {message}") for line in lines)
    assert lines[-1] == "No comparison. Next: correct the policy and repeat the same command."


@pytest.mark.parametrize("results", [False, True])
def test_damaged_data_is_no_policy_s_fault(world: Path, tmp_path: Path, capsys, monkeypatch, results: bool) -> None:
    if not results:
        monkeypatch.setattr("commands.run.run_quiet", lambda *arguments: (2, ""))
    shutil.copytree(world / "traces", tmp_path, dirs_exist_ok=True)
    (tmp_path / "Small" / "one.npy").write_bytes(b"no array")
    options = ("--seeds", "0", "--traces", str(tmp_path), "--reference", str(world / "reference"))
    assert kit.main(["compare", str(STATIC), str(DS_EPLB), *on(world), *options]) == 2
    first, last = capsys.readouterr().out.splitlines()
    text = "trace Small/one: the trace cannot be read." if results else "The ingestion program left no results."
    assert first.startswith(f"A: starting_kit/policies/static: {text}") and last == "No comparison."


FEW = "compare needs several policies"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([STATIC], f"{FEW}. Got: 1. Expected: 2 to 26 folders with policy.py. Next: name another folder."),
        (
            [STATIC, DS_EPLB, "--seeds", -1],
            "--seeds is too small. Got: -1. Expected: at least 0. Next: correct --seeds.",
        ),
        (
            [STATIC, DS_EPLB, "--csv", ROOT / "docs"],
            f"--csv is a folder. Got: {ROOT / 'docs'}. Expected: a file. Next: correct --csv.",
        ),
        (
            [STATIC, DS_EPLB, "--plot", "picture.jpg"],
            "--plot has an unknown ending. Got: picture.jpg. Expected: .svg or .png. Next: correct --plot.",
        ),
        ([STATIC, DS_EPLB, "--jobs", 0], "--jobs is too small. Got: 0. Expected: at least 1. Next: correct --jobs."),
        (
            [STATIC, DS_EPLB, "--seeds", 2, "--reference", "mine"],
            "--reference needs --seeds 0. Got: --seeds 2. Expected: --seeds 0 with --reference, or drawn traces "
            "without --reference. Next: leave one of them out.",
        ),
    ],
)
def test_what_cannot_be_compared_is_named(compare, capsys, arguments: list, text: str) -> None:
    with pytest.raises(SystemExit) as ended:
        compare(*arguments)
    assert ended.value.code == 2 and capsys.readouterr().err.splitlines()[-1] == f"kit.py: error: {text}"


def test_a_second_comparison_runs_no_policy(compare, compared: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("commands.units.ingest")
    code, lines = compare(STATIC, DS_EPLB, "--seeds", 2)
    assert code == 0 and lines == [line for line in compared if "draws" not in line]


def test_the_first_seed_is_an_option_and_the_table_a_file(compare, world: Path, tmp_path: Path) -> None:
    file = tmp_path / "new" / "table.csv"
    code, lines = compare(STATIC, DS_EPLB, "--seeds", 1, "--first-seed", FIRST_SEED + 1, "--csv", file)
    assert code == 0 and lines[0].startswith(f"seed {FIRST_SEED + 1}: A ")
    assert lines[-2] == f"written: {file}"
    head, *rows = file.read_text(encoding="utf-8").splitlines()
    assert head.startswith("case,A starting_kit/policies/static,B starting_kit/policies/ds_eplb,A sd,B sd,B - A,")
    assert [row.split(",")[0] for row in rows] == ["Small/one ep 4", "Large/two ep 8", "composite_score"]
    assert {row.split(",")[2] for row in rows} == {"100.0"}


def test_traces_too_short_for_a_window_are_named(world: Path) -> None:
    with pytest.raises(
        kit.UsageError, match=r"^the traces are too short\. Got: 4\. Expected: at least window \+ 2 = 5\. "
    ):
        kit.compare(STATIC, DS_EPLB, grid=world / "grid.yaml", iterations=4)


def test_what_is_drawn_has_the_length_of_the_traces_that_are_there(world: Path, tmp_path: Path) -> None:
    grid = read_grid(world / "grid.yaml")
    (tmp_path / "manifest.yaml").write_text(yaml.safe_dump({"traces": {"Small/one": {"shape": [77, 2, 4]}}}))
    small, large = recipes(grid, grid.cases, tmp_path, None)
    assert small.iterations == 77 and large.iterations == large.profile.iterations
    assert (small.profile.parameters.top_k, large.profile.parameters.top_k) == (1, 2)


def test_a_picture_without_matplotlib_is_refused_before_anything_runs(compare, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(compare_plot.importlib.util, "find_spec", lambda name: None)
    monkeypatch.delattr("commands.compare.compare")
    with pytest.raises(SystemExit, match="2"):
        compare(STATIC, DS_EPLB, "--plot", tmp_path / "picture.svg")
    assert capsys.readouterr().err.splitlines()[-1] == (
        "kit.py: error: --plot needs matplotlib. Got: matplotlib is not installed. Expected: the extra `plots`. "
        "Next: .venv/bin/python -m pip install '.[plots]', or leave --plot out."
    )


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_picture_shows_each_policy_and_is_drawn_the_same_each_time(seeds: int) -> None:
    pytest.importorskip("matplotlib")
    scores = {letter: [[90 + n, 80 + seed] for seed in range(seeds)] for n, letter in enumerate("ABC")}
    table = side_by_side(["M/d ep 4", "composite_score"], scores)
    table.attrs["policies"] = {"A": "one", "B": "two", "C": "three <&>"}
    drawn = draw(table, ".svg")
    assert drawn == draw(table, ".svg") and draw(table, ".png").startswith(b"\x89PNG")
    text = drawn.decode("utf-8")
    shown = ("A: one", "B: two", "C: three &lt;&amp;&gt;", "M/d ep 4", "composite_score", "difference from A")
    assert [told for told in shown if told not in text] == [] and "<script" not in text
