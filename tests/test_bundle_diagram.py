"""The diagrams of the pages: as the rules draw them, and carried in the text of a built page."""

from __future__ import annotations

import base64
import re

import numpy as np

import bundle
from bundles import NAME, Files, changed
from bundling import diagram, drawing, pages
from bundling.check import check
from cases import grid_mapping
from docs import ROOT
from placement.grid import grid_from_mapping
from placement.trace import Trace


def test_the_diagrams_that_ship_are_what_the_rules_draw() -> None:
    for name, content in diagram.diagrams(ROOT).items():
        assert (ROOT / name).read_bytes() == content, f"{name}: draw it again with `python tools/bundle.py draw`"


def test_a_redeployment_of_all_layers_is_drawn_behind_each_call() -> None:
    # T = 12, window 3, two layers: calls at 4 and, as finish is 6 then, at 10.
    case = grid_from_mapping(
        grid_mapping(
            window=3,
            models={"M": {"layers": 2, "experts": 4}},
            cases=[{"model": "M", "dataset": "a", "ep": [2]}],
        )
    ).cases[0]
    trace = Trace(np.tile(np.array([4, 2, 1, 0], np.int32), (12, 2, 1)))
    run = diagram.ds_eplb_replay(case, trace)
    assert run.calls == [4, 10] and [move.iteration for move in run.applications] == [5, 6, 11, 12]
    drawn = diagram.loop(case, trace)
    scale = (diagram.RIGHT - diagram.LEFT) / 12
    boxes = re.findall(r'<rect x="([\d.]+)" y="338" width="([\d.]+)"', drawn)
    expected = [(diagram.LEFT + scale * begin, scale * 2) for begin in (4, 10)]
    assert [(float(x), float(width)) for x, width in boxes] == [(round(x, 1), round(w, 1)) for x, w in expected]
    assert ">M/a ep 2, window 3, DS-EPLB:<" in drawn and "iterations i - 2 .. i," in drawn


def test_the_initial_deployment_marks_slots_that_repeat_the_last_expert() -> None:
    drawn = drawing.Drawing("t", 100)
    # 5 experts and 4 redundant ones on 3 devices: [0 0 0] [1 2 2] [3 4 4].
    diagram.rows_of(drawn, 0, "d", 5, 3, 4)
    colours = re.findall(r'class="box (\w+)"', drawn.svg())
    assert colours == ["plain", "layers", "layers", "plain", "plain", "layers", "plain", "plain", "layers"]
    assert re.findall(r">(\d)</text>", drawn.svg()) == list("000122344")


def test_a_built_page_carries_its_images_and_keeps_its_lines() -> None:
    text = "# x\n![a b](y.svg) and ![c](gone.svg)\n![d](y.svg)\n"
    files = {"pages/x.md": text.encode(), "pages/y.svg": b"<svg>1</svg>", "pages/plain.md": b"# z\n", "logo.png": b"1"}
    built = pages.with_images(files)
    encoded = base64.b64encode(b"<svg>1</svg>").decode()
    assert built.pop("pages/x.md").decode() == (
        "# x\n![a b][y.svg] and ![c](gone.svg)\n![d][y.svg]\n" + f"\n[y.svg]: data:image/svg+xml;base64,{encoded}\n"
    )
    assert built == {name: content for name, content in files.items() if name != "pages/x.md"}
    assert list(pages.drawings(f"[y.svg]: data:image/svg+xml;base64,{encoded}\n")) == ["<svg>1</svg>"]


def test_a_diagram_of_another_grid_is_a_fault() -> None:
    def another(files: Files) -> None:
        page = files["pages/evaluation.md"].decode()
        (drawn,) = [text for text in pages.drawings(page) if "window 128" in text]
        other = drawn.replace("window 128", "window 64")
        old, new = (base64.b64encode(text.encode()).decode() for text in (drawn, other))
        files["pages/evaluation.md"] = page.replace(old, new).encode()

    (fault,) = check(changed(another), NAME)
    assert str(fault) == (
        "pages/evaluation.md: has a diagram of another grid. Got: window 64. Expected: window 128. Next: draw the "
        "diagrams with `python tools/bundle.py draw`, and build again."
    )


def test_draw_writes_the_diagrams_of_a_tree(tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "pages").mkdir()
    monkeypatch.setattr(bundle, "diagrams", lambda root: {"pages/loop.svg": b"<svg/>"})
    assert bundle.draw(tmp_path) == 0
    assert (tmp_path / "pages" / "loop.svg").read_bytes() == b"<svg/>"
    assert capsys.readouterr().out == "pages/loop.svg: 6 bytes\n"
