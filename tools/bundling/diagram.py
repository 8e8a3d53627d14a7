"""The diagrams of the page Evaluation, drawn by the rules: the replay loop on the kit's grid, and where it begins."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from bundling.drawing import WIDTH, Drawing
from bundling.parts import KIT_GRID, KIT_TRACES
from placement.deployment import initial_deployment
from placement.ds_eplb import ds_eplb
from placement.grid import Case, grid_from_mapping
from placement.replay import Replay, replay
from placement.trace import Trace
from placement.traces.files import open_trace
from placement.traces.yaml_file import read_yaml

LOOP, INITIAL = "pages/loop.svg", "pages/initial_deployment.svg"
# Where iterations run from left to right, and how many points a curve has at most.
LEFT, RIGHT, POINTS = 66, WIDTH - 12, 128
# Cases whose initial deployments are shown: experts, devices, redundant experts, as on the pages.
UNEVEN = (256, 72, 32)


def diagrams(root: Path) -> dict[str, bytes]:
    """The files of the diagrams by their path, from the kit's grid and traces below root. Raises OrganizerError."""
    cases = grid_from_mapping(read_yaml(root / KIT_GRID, "grid")).cases
    # The case whose calls are nearest together: they fit side by side.
    first = min(cases, key=lambda case: (case.layers, case.ep))
    smallest = min(cases, key=lambda case: (case.ep, case.slots))
    trace = open_trace(root / KIT_TRACES, first.model, first.dataset, None)
    drawn = {LOOP: loop(first, trace), INITIAL: initial(smallest)}
    return {name: text.encode("utf-8") for name, text in drawn.items()}


def ds_eplb_replay(case: Case, trace: Trace) -> Replay:
    """A case's replay with the baseline as the policy: all layers, in order, at every call."""

    def rebalance(start: int, stop: int, live: np.ndarray, iteration: int) -> tuple[np.ndarray, np.ndarray]:
        weights = trace.window(start, stop).sum(axis=0)
        table = ds_eplb(weights, case.devices, case.redundant_experts, case.groups, case.nodes)
        return np.arange(case.layers), table

    return replay(trace, case, rebalance)


def loop(case: Case, trace: Trace) -> str:
    """The steps of an iteration, and the iterations of a whole case."""
    drawing = Drawing(f"The replay loop, and the replay of {case.name} with DS-EPLB", 514)
    steps(drawing, case, trace.iterations)
    whole_case(drawing, case, ds_eplb_replay(case, trace))
    return drawing.svg()


def steps(drawing: Drawing, case: Case, iterations: int) -> None:
    """What happens in every iteration."""
    drawing.text(12, 22, f"In every iteration i = 1 .. {iterations}:", "bold")
    measured = ("1. PAR is measured", f"in each of the {case.layers} layers.")
    applied = (
        "2. Is a redeployment pending?",
        "Yes: one layer gets its new rows,",
        "and its changed slots are charged.",
    )
    called = (
        "3. Is it time for a call?",
        "Yes, if i = finish + window + 1: the policy",
        f"sees the window, iterations i - {case.window - 1} .. i,",
        "and answers with the next redeployment.",
    )
    boxes = ((34, 44, "plain", measured), (96, 60, "layers", applied), (174, 76, "window", called))
    for top, height, colour, lines in boxes:
        drawing.box(12, top, 256, height, colour, round_by=5)
        for number, words in enumerate(lines):
            drawing.text(22, top + 19 + 16 * number, words, "" if number else "bold")
    for (top, height, *_), (below, *_) in pairwise(boxes):
        drawing.line([(140, top + height), (140, below)], arrow=True)
    drawing.line([(268, 212), (300, 212), (300, 56), (269, 56)], arrow=True)
    drawing.text(296, 140, "i + 1", "small quiet", "end")


def whole_case(drawing: Drawing, case: Case, run: Replay) -> None:
    """The iterations from left to right: windows, calls, layers that are redeployed, PAR, and the transmit amount."""
    iterations = len(run.par)

    def at(iteration: float) -> float:
        return LEFT + (RIGHT - LEFT) * iteration / iterations

    drawing.text(12, 280, f"{case.name}, window {case.window}, DS-EPLB:", "bold")
    for row, label in ((304, "windows"), (326, "calls"), (348, "layers"), (394, "PAR"), (462, "transmit")):
        drawing.text(12, row, label, "small")
    drawing.line([(LEFT, 490), (RIGHT, 490)])
    for number, call in enumerate(run.calls, 1):
        drawing.box(at(call - case.window), 294, at(call) - at(call - case.window), 12, "window")
        moves = [application.iteration for application in run.applications if application.call == number]
        if moves:
            drawing.box(at(moves[0] - 1), 338, at(moves[-1]) - at(moves[0] - 1), 12, "layers")
        drawing.line([(at(call), 290), (at(call), 490)], "call")
        drawing.text(at(call) - 3, 326, str(call), "small call", "end")
    par, moved = run.par.mean(axis=1), np.cumsum(run.transmit())
    ends = np.linspace(0, iterations, min(POINTS, iterations) + 1).astype(int)
    pieces = list(pairwise(ends))
    means = [par[begin:end].mean() for begin, end in pieces]
    lowest, highest = min(means), max(means)
    heights = [52 * (mean - lowest) / ((highest - lowest) or 1.0) for mean in means]
    drawing.line([(at(sum(piece) / 2), 420 - height) for piece, height in zip(pieces, heights, strict=True)], "curve")
    drawing.text(LEFT - 4, 376, f"{highest:.2f}", "small quiet", "end")
    drawing.text(LEFT - 4, 424, f"{lowest:.2f}", "small quiet", "end")
    drawing.line([(at(end), 484 - 44 * moved[end - 1] / max(moved[-1], 1)) for _, end in pieces], "curve")
    drawing.text(LEFT - 4, 446, str(moved[-1]), "small quiet", "end")
    drawing.text(LEFT, 504, "i = 1", "small quiet")
    drawing.text(RIGHT, 504, str(iterations), "small quiet", "end")


def initial(case: Case) -> str:
    """The initial deployment of a case of the grid, and of one whose devices do not divide its experts."""
    drawing = Drawing("The initial deployment, the same in every layer", 316)
    drawing.text(12, 22, "Before the first redeployment, every layer:", "bold")
    rows_of(drawing, 44, case.name, case.experts, case.devices, case.redundant_experts)
    rows_of(drawing, 168, f"{UNEVEN[0]} experts, ep {UNEVEN[1]} +{UNEVEN[2]}", *UNEVEN)
    drawing.box(12, 290, 12, 12, "layers")
    drawing.text(30, 300, "repeats the last expert of its device", "small")
    return drawing.svg()


def rows_of(drawing: Drawing, top: int, name: str, experts: int, devices: int, redundant: int) -> None:
    """The first devices and the last one, a box for each slot."""
    rows = initial_deployment(1, experts, devices, redundant)[0]
    slots = rows.shape[1]
    wide = (WIDTH - 82 - 12) / max(slots, 5)
    drawing.text(12, top, name)
    drawing.text(12, top + 15, f"{experts} experts + {redundant} redundant, {slots} slots a device", "small quiet")
    for line, device in enumerate((0, 1, devices - 1)):
        y = top + 24 + 24 * line + 10 * (line == 2)
        drawing.text(12, y + 14, f"device {device}", "small")
        for slot, expert in enumerate(rows[device]):
            repeated = slot > 0 and expert == rows[device, slot - 1]
            drawing.box(82 + wide * slot, y, wide - 4, 20, "layers" if repeated else "plain", round_by=3)
            drawing.text(80 + wide * (slot + 0.5), y + 14, str(expert), "small", "middle")
    drawing.text(12, top + 80, "...", "small quiet")
