"""The page of `kit.py view` in a real browser: it steps, draws, fits the screen, and asks for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from browser import CONTRAST, Browser, BrowserPage, find_chromium
from viewed_run import COST, example
from viewer.content import content_of
from viewer.page import page

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium")
FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A browser for all tests."""
    started = Browser(CHROMIUM, tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The worked example's page, with three pieces of time."""
    content = content_of(*example(), COST, most_pieces=3)
    path = tmp_path_factory.mktemp("page") / "view.html"
    row = {"mean_par": 1.385416666667, "transmit_amount": 6}
    path.write_text(page("M/d ep 2", "a run", row, content), encoding="utf-8")
    return path


def texts(opened: BrowserPage) -> list[str]:
    return [opened.run(f"document.getElementById('{name}').textContent") for name in ("place", "change")]


def press(opened: BrowserPage, element: str) -> None:
    opened.run(f"document.querySelector({element!r}).click()")


def choose(opened: BrowserPage, name: str, value: int, event: str) -> None:
    opened.run(f"document.getElementById('{name}').value = {value}")
    opened.run(f"document.getElementById('{name}').dispatchEvent(new Event('{event}'))")


def blocks(opened: BrowserPage) -> list[str]:
    """The class of each block, device after device, from the first slot."""
    return opened.run("[...document.querySelectorAll('#columns rect')].map(block => block.getAttribute('class'))")


def experts(opened: BrowserPage) -> list[list[str]]:
    return opened.run(
        "[...document.querySelectorAll('#experts tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
    )


def test_it_opens_at_the_costliest_moment_and_says_what_the_call_did(browser, file) -> None:
    opened = browser.open(file, 1280)
    assert texts(opened) == [
        "Layer 1, iterations 6 to 11, after call 1: mean PAR 1.500, 7.500 modeled seconds above a perfect balance.",
        "Call 1 (iteration 4) changed 2 of the layer's 6 slots, for 0.002 s; in iterations 6 to 12 PAR was 1.500, with "
        "the slots before 1.500: +0.000 s, net -0.002 s.",
    ]
    # P = [1 0 1][2 3 3] after [0 1 1][2 3 3]; the frame is the hottest device's.
    assert blocks(opened) == ["came", "came", "stayed", "chosen", "stayed", "stayed", "stayed"]
    assert experts(opened) == [
        ["0", "1", "0.250", "2.0", "2", "0"],
        ["1", "0", "1.000", "4.0", "1", "1"],
        ["2", "1", "0.250", "2.0", "2", "-"],
    ]
    assert (opened.requests, opened.complaints) == ([], [])


def test_it_steps_from_call_to_call_and_through_the_layers(browser, file) -> None:
    opened = browser.open(file, 1280)
    press(opened, "#layers [data-layer='0']")
    assert texts(opened)[0].startswith("Layer 0, iterations 7 to 11, after call 1: mean PAR 1.000, 0.000 modeled")
    press(opened, "#forward")
    assert texts(opened)[1] == (
        "Call 2 (iteration 10) changed 1 of the layer's 6 slots, for 0.001 s; in iterations 12 to 12 PAR was 1.250, "
        "with the slots before 1.000: -0.625 s, net -0.626 s."
    )
    # C = [0 1 2][0 3 3] after B = [0 1 2][0 1 3].
    assert [kind for kind in blocks(opened) if kind != "chosen"] == ["stayed"] * 4 + ["came", "stayed"]
    choose(opened, "layer", 1, "change")
    assert texts(opened)[1] == "Call 2 (iteration 10) left this layer as it was."
    choose(opened, "piece", 0, "input")
    assert texts(opened) == [
        "Layer 1, iterations 1 to 5, before the first call's redeployment: mean PAR 1.500, 6.250 modeled seconds above "
        "a perfect balance.",
        "The initial deployment, the same for every policy.",
    ]
    press(opened, "#calls [data-call='2'] button")
    assert opened.run("document.querySelector('#calls [aria-current]').dataset.call") == "2"
    press(opened, "#costliest")
    assert texts(opened)[0].startswith("Layer 1, iterations 6 to 11,")


def test_devices_are_chosen_and_ordered_and_an_experts_replicas_shown(browser, file) -> None:
    opened = browser.open(file, 1280)
    choose(opened, "device", 1, "change")
    title = "document.getElementById('device-title').textContent"
    assert opened.run(title) == "Device 1: 0.500 times the mean load"
    choose(opened, "layer", 0, "change")
    press(opened, "#experts [data-expert='0']")
    assert [kind for kind in blocks(opened) if kind.endswith("twin")] == ["stayed twin", "came twin"]
    choose(opened, "layer", 1, "change")
    press(opened, "#ordered")
    left = "document.querySelector('#columns text[y=\"296\"]').textContent"
    assert opened.run(left) == "device 0"
    press_left = """(() => {
        const clientX = document.getElementById('columns').getBoundingClientRect().left + 60;
        document.querySelector('#columns svg').dispatchEvent(new MouseEvent('click', { bubbles: true, clientX }));
    })()"""
    opened.run(press_left)
    assert opened.run(title) == "Device 0: 1.500 times the mean load"


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1280, False)])
def test_it_fits_the_screen_can_be_read_and_names_what_is_drawn(browser, file, width: int, dark: bool) -> None:
    opened = browser.open(file, width, dark)
    opened.run(FRAMES)
    assert opened.run("document.scrollingElement.scrollWidth <= innerWidth")
    assert opened.run(CONTRAST) == [] and all(opened.names("table", "region", "button", "slider"))
    assert opened.names("image", "img") == [
        "PAR over the iterations, layer 1 and the mean of all layers",
        "Loads of 2 devices; the hottest is device 0 with 1.500 times the mean",
    ]
    assert (opened.requests, opened.complaints) == ([], [])


def test_without_scripts_the_calls_are_left(browser, file) -> None:
    opened = browser.open(file, 1280, scripts=False)
    assert opened.run("document.getElementById('stepper').checkVisibility()") is False
    assert opened.run("document.querySelector('#calls').checkVisibility()") is True
