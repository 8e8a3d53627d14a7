"""A trace that is drawn while it is replayed: the digits of the stored one, drawn once, and `kit.py run --generate`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import kit
from commands import streamed
from placement.chunked_trace import ChunkedTrace
from placement.errors import OrganizerError
from placement.explain import bin_starts, explain
from placement.replay import replay
from placement.results import measures
from placement.shifts import samples
from placement.trace import Trace, trace_sha256
from placement.traces.par_file import ParFile
from submissions import ROOT
from test_long_trace import CASES, SIZES, WINDOW, everything
from traces.generation import stream as stream_module
from traces.generation.generator import Drawing, generate
from traces.generation.profile import Parameters, Profile, write_profile
from traces.generation.stream import Stream
from traces.trace_file import write_drawn, write_trace

P = Parameters(top_k=2, own_memory=(5.0, 60.0), switches=(70,), regime_common=(0.5, 0.5), regime_strength=(1.0, 0.8))
SHAPE = (150, 3, 6)
DRAWN = generate(P, *SHAPE, seed=4)
# A profile's file has one memory.
LISTED = replace(P, own_memory=60.0)


class Counted(Drawing):
    """Remembers which blocks were drawn."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.drawn: list[int] = []

    def draw(self) -> np.ndarray:
        self.drawn.append(self.block)
        return super().draw()


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Of ten blocks, with room for three marks: four blocks apart."""
    drawing = Counted(P, *SHAPE, 4)
    monkeypatch.setattr(stream_module, "MARK_BYTES", 3 * drawing.mark()[1][1].nbytes)
    return drawing


def read(stream: Stream, first: int, last: int) -> None:
    out = np.empty((last - first, *SHAPE[1:]), np.int32)
    assert stream.read(first, out) is out
    np.testing.assert_array_equal(out, DRAWN[first:last])


def test_whatever_is_asked_for_is_what_was_passed(drawing: Counted) -> None:
    stream = Stream(drawing, *SHAPE)
    for first, last in ((0, 16), (10, 20), (100, 110), (3, 5), (149, 150), (0, 150), (60, 64), (63, 70), (150, 150)):
        read(stream, first, last)


def test_going_back_draws_from_the_nearest_mark_and_going_on_draws_nothing_twice(drawing: Counted) -> None:
    stream = Stream(drawing, *SHAPE)
    read(stream, 0, 112)
    assert drawing.drawn == [*range(7)]
    drawing.drawn.clear()
    read(stream, 85, 90)
    assert drawing.drawn == [4, 5]
    drawing.drawn.clear()
    read(stream, 112, 130)
    assert drawing.drawn == [7, 8]
    assert len(stream._marks) <= 4


@pytest.mark.parametrize("chunk", SIZES)
def test_a_stream_leaves_what_the_stored_trace_leaves(drawing: Counted, chunk: int) -> None:
    whole = Trace(DRAWN)
    trace = ChunkedTrace(Stream(drawing, *SHAPE), whole.sha256, WINDOW, ParFile, chunk)
    assert everything(trace, CASES[0]) == everything(whole, CASES[0])


def test_a_replay_and_the_shifts_of_its_explanation_draw_each_block_once(drawing: Counted) -> None:
    pinned = samples(bin_starts(SHAPE[0]), SHAPE[0])
    trace = ChunkedTrace(Stream(drawing, *SHAPE), "no hash", WINDOW, ParFile, 32, pinned)
    done = replay(trace, CASES[0], lambda *_: None)
    measures(done, trace)
    assert drawing.drawn == [*range(10)]
    # What is drawn again is of the costliest windows alone.
    assert explain(done, trace) == explain(replay(Trace(DRAWN), CASES[0], lambda *_: None), Trace(DRAWN))


def test_parameters_without_finite_loads_are_told_when_they_are_drawn() -> None:
    stream = Stream(Drawing(Parameters(own_drift=1e6, top_k=2), *SHAPE, 1), *SHAPE)
    with pytest.raises(OrganizerError) as caught, np.errstate(all="ignore"):
        stream.read(0, np.empty((16, 3, 6), np.int32))
    assert str(caught.value) == (
        "the trace cannot be generated. Got: these parameters give loads that are not finite. "
        "Expected: parameters that give the counts of a trace. Next: correct the profile."
    )


def test_a_drawn_file_is_the_one_that_is_written_whole_and_what_is_not_accepted_leaves_none(
    drawing: Counted, tmp_path: Path
) -> None:
    told: list[str] = []
    write_trace(tmp_path / "whole.npy", DRAWN)
    write_drawn(tmp_path / "drawn.npy", Stream(drawing, *SHAPE), told.append)
    assert (tmp_path / "drawn.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert told == [trace_sha256(DRAWN)]

    def refuse(sha256: str) -> None:
        raise KeyError(sha256)

    with pytest.raises(KeyError):
        write_drawn(tmp_path / "none.npy", Stream(Counted(P, *SHAPE, 4), *SHAPE), refuse)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drawn.npy", "whole.npy"]


# kit.py run --generate


def run(folder: Path, *arguments: object) -> int:
    static = ROOT / "starting_kit" / "policies" / "static"
    return kit.main(["run", str(static), "--output", str(folder / "output"), *map(str, arguments)])


def test_run_generate_scores_a_policy_on_a_stream_and_measures_its_reference_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(streamed, "OUTPUT", tmp_path)
    write_profile(tmp_path / "tiny.yaml", Profile("M", "d", 3, 6, 150, "drawn by hand", LISTED))
    lines: list[str] = []
    command = "--generate", tmp_path / "tiny.yaml", "--seed", 4, "--case", "M/d:2"
    assert run(tmp_path, *command) == 0
    said = capfd.readouterr().out
    assert said.startswith("M/d ep 2: 150 iterations of 3 layers and 6 experts, window 32; grid ")
    assert "measures DS-EPLB on this trace, once\n" in said and said.splitlines()[-1].startswith("composite_score: ")
    (row,) = json.loads((tmp_path / "output" / "prediction" / "results.json").read_bytes())["cases"]
    case = streamed.read_grid(next(tmp_path.glob("streams/*/grid.yaml"))).cases[0]
    whole = Trace(generate(LISTED, *SHAPE, seed=4))
    wanted = measures(replay(whole, case, lambda *_: None), whole)
    assert {name: row[name] for name in wanted} == wanted
    assert row["trace_sha256"].startswith("no hash: generated: profile M/d (parameters ")
    assert row["trace_sha256"].endswith("; [150, 3, 6]")
    again = streamed.streamed_world(kit.parse(["run", *map(str, command)]))
    streamed.measure_stream_once(again, lines.append)
    assert len(lines) == 1 and "measures DS-EPLB" not in lines[0]


def test_a_stream_s_grid_is_that_of_a_participant_s_trace_with_the_named_cases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed, "OUTPUT", tmp_path)
    typed = ["run", "--generate", "DS-R1/LmSys", "--iterations", "12289", "--case", "DS-R1/LmSys:64"]
    grid = streamed.read_grid(streamed.streamed_world(kit.parse(typed)).grid)
    assert (grid.window, [case.ep for case in grid.cases]) == (1024, [64])
    assert (grid.limits.call_seconds, grid.limits.case_seconds, grid.limits.grid_seconds) == (10, 180, 4500)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["--iterations", 60],
            "--iterations is for a generated trace. Got: --iterations 60. Expected: it with --generate alone. "
            "Next: leave it out, or add --generate.",
        ),
        (
            ["--generate", "DS-R1/LmSys", "--traces", "traces"],
            "--generate and --traces are named. Got: --traces traces. Expected: one of them. Next: leave one out.",
        ),
    ],
)
def test_what_does_not_go_with_generate_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[object], text: str
) -> None:
    with pytest.raises(SystemExit):
        run(tmp_path, *arguments)
    assert capsys.readouterr().err.endswith(f"error: {text}\n")
