"""The page in a real browser: at phone and desktop width, light and dark, with and without scripts, on paper."""

from __future__ import annotations

import base64

import pytest

from browser import CONTRAST, Browser, find_chromium
from docs import ROOT
from page_files import curves, explanations, page_of, write_run
from score_files import NAMES, failed_results, failure, reference, score

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium")

WIDTHS, THEMES = (390, 1280), (False, True)
FITS = "document.scrollingElement.scrollWidth <= innerWidth"
OPEN_ALL = "document.querySelectorAll('details').forEach(part => { part.open = true })"
FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
ITERATIONS = 900


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A browser for all tests."""
    started = Browser(CHROMIUM, tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """The page of a run with everything that a page can show."""
    known = reference()
    for row in known["cases"]:
        row |= {"static_mean_par": 2.0, "clairvoyant_mean_par": 1.1, "par_p50": 1.2, "par_p95": 1.8, "par_p99": 2.1}
    folder = tmp_path_factory.mktemp("scored")
    write_run(folder, known, *curves(known, ITERATIONS), explanations(known, ITERATIONS), mean_par=1.625)
    page_of(folder)
    return folder / "output" / "detailed_results.html"


@pytest.fixture
def failed(tmp_path, capsys):
    """The page of a run without a score, with long words in it."""
    content = failed_results()
    word = "x" * 300
    content["cases"][1]["failure"] = failure(f"too slow {word}", "call 2")
    content["cases"][2]["status"] = "invalid_answer"
    content["cases"][2]["failure"] = failure("it broke", "call 2, layer 7", word, "none", "mend it")
    score(tmp_path, capsys, content)
    return tmp_path / "output" / "detailed_results.html"


@pytest.mark.parametrize("dark", THEMES, ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_the_screen_in_both_themes_and_asks_for_nothing(browser, scored, tmp_path, width, dark):
    page = browser.open(scored, width, dark)
    assert page.run("innerWidth") == width
    assert page.run(FITS)
    page.run(OPEN_ALL)
    page.run(FRAMES)
    assert page.run(FITS)
    assert page.run("document.querySelectorAll('.plot canvas').length") == 6
    assert (page.requests, page.complaints) == ([], [])
    assert page.screenshot(tmp_path / "page.png").startswith(b"\x89PNG")
    red, green, blue = page.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(red, green, blue) < 64) if dark else (min(red, green, blue) > 192)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_page_without_a_score_fits_too(browser, failed, width):
    page = browser.open(failed, width)
    assert page.run(FITS)
    one_line = (
        "[...document.querySelectorAll('.cases .ok, .cases .bad')].every(word => word.getClientRects().length === 1)"
    )
    assert page.run(one_line)
    assert (page.requests, page.complaints) == ([], [])


# A finger needs 24 pixels.
@pytest.mark.parametrize(("width", "height"), [(390, 24), (1280, 16)])
def test_a_heading_sorts_the_cases_and_pressed_again_the_other_way_round(browser, scored, width, height):
    page = browser.open(scored, width)
    reached = """least => [...document.querySelectorAll('.cases thead button')].every(button => {
        button.scrollIntoView();
        const {x, y, width, height} = button.getBoundingClientRect();
        return height >= least && document.elementFromPoint(x + width / 2, y + height / 2) === button;
    })"""
    assert page.run(f"({reached})({height})")
    column = "[...document.querySelectorAll('.cases tbody tr')].map(row => row.cells[{}].firstChild.textContent.trim())"
    press = "[...document.querySelectorAll('.cases thead button')][{}].click()"
    before = page.run(column.format(6))
    page.run(press.format(6))
    rising = page.run(column.format(6))
    assert rising == sorted(before, key=int) and len(set(rising)) == 3
    page.run(press.format(6))
    assert page.run(column.format(6)) == rising[::-1]
    assert page.run("document.querySelectorAll('[aria-sort]').length") == 1
    page.run(press.format(0))
    assert page.run(column.format(0)) == sorted(NAMES)


@pytest.mark.parametrize("dark", THEMES, ids=["light", "dark"])
def test_every_text_has_the_contrast_that_readers_need(browser, scored, dark):
    page = browser.open(scored, 1280, dark)
    page.run(OPEN_ALL)
    page.run(FRAMES)
    assert page.run(CONTRAST) == []


def test_everything_drawn_has_a_name(browser, scored):
    page = browser.open(scored, 1280)
    page.run(OPEN_ALL)
    page.run(FRAMES)
    figures, images = page.names("figure"), page.names("image", "img")
    assert len(figures) == 3 * 5 and all(figures)
    # Two canvases, two heat maps and two rows of bars for each case; the legend's ramp is decoration.
    assert len(images) == 3 * 6 and all(images)
    assert images.count("PAR over the iterations: this policy, DS-EPLB, static, clairvoyant") == 3
    assert all(page.names("table", "region"))


def test_cases_open_by_key_and_draw_their_curves(browser, scored):
    page = browser.open(scored, 390)
    closed = "[...document.querySelectorAll('.case')].findIndex(part => !part.open)"
    number = page.run(closed)
    assert number >= 0
    case = f"document.querySelectorAll('.case')[{number}]"
    assert page.run(f"{case}.querySelectorAll('canvas').length") == 0
    for _ in range(100):
        if page.run(f"document.activeElement === {case}.querySelector('summary')"):
            break
        page.press("Tab", 9)
    else:
        pytest.fail("no key leads to the summary")
    page.press("Enter", 13)
    page.run(FRAMES)
    assert page.run(f"{case}.open")
    assert page.run(f"{case}.querySelectorAll('canvas').length") == 2
    assert page.run(f"{case}.querySelector('.plot').clientWidth >= {case}.querySelector('.uplot').scrollWidth")


def test_the_table_leads_to_a_case_and_opens_it(browser, scored):
    page = browser.open(scored, 1280, scripts=False)
    number = page.run("[...document.querySelectorAll('.case')].findIndex(part => !part.open)") + 1
    page.run(f"document.querySelector('a[href=\"#case-{number}\"]').click()")
    assert page.run(f"document.getElementById('case-{number}').closest('details').open")


def test_without_scripts_tables_and_pictures_tell_the_same(browser, scored):
    page = browser.open(scored, 390, scripts=False)
    assert page.run("document.querySelectorAll('canvas').length") == 0
    page.run(OPEN_ALL)
    assert page.run(FITS)
    told = page.run("document.body.innerText")
    for text in (
        "composite_score",
        "Cases",
        "Why this score",
        "Iterations 1 to 180",
        "A script draws this figure",
        "856 to 900",
        "p99",
    ):
        assert text in told, text
    loaded = "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
    assert page.run(loaded) and page.run("document.images.length") == 9


def test_curves_follow_the_width_and_the_theme(browser, scored):
    page = browser.open(scored, 1280)
    width = "document.querySelector('.case[open] canvas').clientWidth"
    wide, before = page.run(width), page.run("document.querySelector('.case[open] canvas').toDataURL()")
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    page.run(FRAMES)
    assert page.run("document.querySelector('.case[open] canvas').toDataURL()") != before
    page.call("Emulation.setDeviceMetricsOverride", width=500, height=800, deviceScaleFactor=1, mobile=False)
    page.run(FRAMES)
    assert page.run(width) < wide
    assert page.run(FITS)


def test_on_paper_it_is_light_and_comes_back_dark(browser, scored):
    page = browser.open(scored, 1280, dark=True)
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.run(ground)
    page.run("dispatchEvent(new Event('beforeprint'))")
    assert page.run(ground) != dark
    page.run("dispatchEvent(new Event('afterprint'))")
    assert page.run(ground) == dark
    printed = page.call("Page.printToPDF", printBackground=False)["data"]
    assert base64.b64decode(printed).startswith(b"%PDF")
    assert page.complaints == []


def test_what_a_participant_sends_runs_nothing(browser, tmp_path, capsys):
    content = failed_results()
    attack = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
    for row in content["cases"]:
        row["failure"] = failure(*[attack] * 5)
    score(tmp_path, capsys, content)
    page = browser.open(tmp_path / "output" / "detailed_results.html", 1280)
    assert page.run("document.title") == "Dynamic expert placement: detailed results"
    assert (page.requests, page.complaints) == ([], [])


def test_a_script_that_got_in_would_not_run(browser, scored, tmp_path):
    changed = tmp_path / "page.html"
    text = scored.read_text(encoding="utf-8")
    changed.write_text(text.replace("<main>", "<main><script>document.title='taken'</script>"), encoding="utf-8")
    page = browser.open(changed, 1280)
    assert page.run("document.title") == "Dynamic expert placement: detailed results"
    assert page.run("document.querySelectorAll('.case[open] canvas').length") == 2
    assert len(page.complaints) == 1


@pytest.mark.parametrize("dark", THEMES)
@pytest.mark.parametrize("name", ["loop", "initial_deployment"])
def test_a_diagram_of_the_pages_fits_a_phone_and_its_words_stand_apart(browser, name, dark):
    page = browser.open(ROOT / "pages" / f"{name}.svg", 360, dark)
    boxes = page.run(
        "[...document.querySelectorAll('text')].map(text => { const box = text.getBBox(); "
        "return [box.x, box.y, box.x + box.width, box.y + box.height] })"
    )
    assert len(boxes) > 10 and all(left > 0 and right < 320 for left, _, right, _ in boxes)
    # Lines of text may touch; half of one is more.
    for number, (left, top, right, bottom) in enumerate(boxes):
        for other in boxes[:number]:
            across, down = min(right, other[2]) - max(left, other[0]), min(bottom, other[3]) - max(top, other[1])
            assert across <= 0 or down < 4, (left, top, other)
    ink, ground = page.run("['text', '.ground'].map(name => getComputedStyle(document.querySelector(name)).fill)")
    light = {"ink": "rgb(27, 31, 36)", "ground": "rgb(255, 255, 255)"}
    assert ((ink, ground) == (light["ink"], light["ground"])) != dark
