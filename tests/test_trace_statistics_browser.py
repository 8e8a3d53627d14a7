"""The page of `kit.py statistics` in a real browser: no column is cut or hidden, at desktop and phone width."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from browser import Browser, find_chromium
from cases import make_case, make_trace
from traces.statistics.page import page
from traces.statistics.summary import summarise

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium")
EPS = (4, 8, 16, 32)
VALUES = np.random.default_rng(9).multinomial(30_000, np.arange(32, 64) / 1520, (160, 2)).astype(np.int32)
# Every cell of every table lies on the screen, and nothing scrolls sideways.
CUT = """(() => {
  document.querySelectorAll('details').forEach(part => { part.open = true });
  const seen = cell => {
    const box = cell.getBoundingClientRect();
    return box.width > 0 && box.left >= 0 && box.right <= innerWidth && cell.scrollWidth <= cell.clientWidth;
  };
  const cells = [...document.querySelectorAll('th, td')].filter(cell => !seen(cell)).map(cell => cell.innerText);
  return [...document.querySelectorAll('html, .wide')].some(box => box.scrollWidth > box.clientWidth)
    ? ['scrolls', ...cells] : cells;
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser for all tests."""
    started = Browser(CHROMIUM, tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a trace measured at four numbers of devices, and at one of them with more redundant experts."""
    cases = [make_case(devices=ep, experts=32, window=32) for ep in EPS]
    cases.append(make_case(devices=8, experts=32, window=32, redundant=16))
    file = tmp_path_factory.mktemp("statistics") / "page.html"
    file.write_text(page(summarise(make_trace(VALUES), cases, "made up"), None), encoding="utf-8")
    return file


@pytest.mark.parametrize("width", [1100, 400])
def test_no_column_is_cut_or_hidden(browser: Browser, path: Path, width: int) -> None:
    opened = browser.open(path, width)
    assert opened.run("innerWidth") == width
    assert opened.run(CUT) == []
    headings = opened.run("[...document.querySelectorAll('details th')].map(cell => cell.innerText)")
    assert headings.count("layer") == 6 and {"gini", "half_window_tv_largest", "ds_eplb_par_32"} <= set(headings)
