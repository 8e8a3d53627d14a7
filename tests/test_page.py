"""The page's curves, heat maps and explanations: what is drawn, how small it stays, and what broken files do to it."""

import base64
import hashlib
import io
import json
import re
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from page_files import GRID, curves, explanation, explanations, large_reference, page_of, series_bytes, write_run
from page_parser import HOSTILE, Page
from score_files import NAMES, reference
from scores import companions
from scores.companions import LARGEST, read_companions
from scores.explanations import read_explanation
from scores.page import heat_map
from scores.page.curves import POINTS, bin_means, bin_size, bin_totals
from scores.page.markup import content, element, table
from scores.yardsticks import share_of_the_way, yardstick_score

ITERATIONS = 400


@pytest.fixture(scope="module")
def known():
    """The reference of three cases, with yardsticks."""
    made = reference()
    for row in made["cases"]:
        row |= {"static_mean_par": 2.0, "clairvoyant_mean_par": 1.1, "par_p50": 1.2, "par_p95": 1.8}
    return made


@pytest.fixture(scope="module")
def full(known):
    """Curves of results and reference, and explanations, for the three cases."""
    return (*curves(known, ITERATIONS), explanations(known, ITERATIONS))


# Numbers


@pytest.mark.parametrize("iterations", [1, 2, 399, 400, 401, 799, 801, 5120, 6144, 100_001])
def test_curves_have_few_points_that_keep_mean_and_total(iterations):
    values = np.random.default_rng(iterations).integers(0, 100, iterations).astype(float)
    size = bin_size(iterations)
    means, totals = bin_means(values, size), bin_totals(values, size)
    assert len(means) == len(totals) == -(-iterations // size) <= POINTS
    weights = [min(size, iterations - start) for start in range(0, iterations, size)]
    assert np.dot(means, weights) == pytest.approx(values.sum())
    assert totals[-1] == values.sum()
    assert totals[0] == values[:size].sum()


def test_a_short_curve_is_kept_as_it_is():
    values = np.array([1.0, 3.0, 2.0])
    assert bin_means(values, bin_size(3)).tolist() == [1.0, 3.0, 2.0]
    assert bin_means(values, 2).tolist() == [2.0, 2.0]
    assert bin_totals(values, 2).tolist() == [4.0, 6.0]


def row(mean_par, transmit_amount=0, **more):
    """A row of results or reference."""
    return reference()["cases"][0] | {"mean_par": mean_par, "transmit_amount": transmit_amount} | more


def test_the_share_of_the_way_goes_from_static_to_clairvoyant():
    way = row(1.5, static_mean_par=2.0, clairvoyant_mean_par=1.0)
    assert share_of_the_way(row(2.0), way) == 0
    assert share_of_the_way(row(1.0), way) == 1
    assert share_of_the_way(row(1.25), way) == 0.75
    assert share_of_the_way(row(3.0), way) == -1
    # What is moved counts against the policy, and only against it.
    entries_of_a_second = 900_000_000_000 / 88_080_384
    assert share_of_the_way(row(2.0, entries_of_a_second), way) == pytest.approx(-1 / 60)


@pytest.mark.parametrize("static", [..., None, "2", True, 1.0, 0.5, 1e999])
def test_there_is_no_way_without_a_clairvoyant_that_gains(static):
    way = row(1.5, clairvoyant_mean_par=1.0) | ({} if static is ... else {"static_mean_par": static})
    assert share_of_the_way(row(1.2), way) is None
    assert share_of_the_way(row(1.2), row(1.5, static_mean_par=2.0)) is None


def test_a_yardstick_has_a_score_only_if_every_case_knows_it():
    rows = [row(1.5, static_mean_par=2.0), row(1.0, static_mean_par=2.0)]
    assert yardstick_score(rows, "static") == pytest.approx(62.5)
    assert yardstick_score([*rows, row(1.0)], "static") is None
    assert yardstick_score([], "static") is None


def test_a_heat_map_is_a_png_of_its_indices():
    indices = np.arange(6, dtype=np.uint8).reshape(2, 3)
    data = heat_map.png(indices, heat_map.colours())
    chunks, place = {}, 8
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert struct.unpack(">I", data[place + 8 + length : place + 12 + length]) == (zlib.crc32(kind + body),)
        chunks[kind] = body
        place += length + 12
    assert chunks[b"IHDR"] == struct.pack(">IIBBBBB", 3, 2, 8, 3, 0, 0, 0)
    assert zlib.decompress(chunks[b"IDAT"]) == bytes([0, 0, 1, 2, 0, 3, 4, 5])
    assert len(chunks[b"PLTE"]) == 3 * heat_map.STEPS


def test_the_colours_grow_lighter_all_the_way():
    lightness = heat_map.colours() @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > 0).all()


def test_markup_escapes_what_is_no_markup():
    made = element("p", HOSTILE, content("<b>", None), title=HOSTILE, open=True, hidden=False, lang=None)
    assert made.count("<") == 2
    assert Page(made).attributes == [("title", HOSTILE), ("open", None)]
    assert Page(table(HOSTILE, ["a", HOSTILE], [(HOSTILE, HOSTILE)])).tables == [[["a", HOSTILE], [HOSTILE, HOSTILE]]]


# The whole page


def test_a_case_has_curves_maps_windows_loads_and_percentiles(tmp_path, known, full):
    page = Page(page_of(write_run(tmp_path, known, *full, call_seconds=[0.5])))
    texts = " ".join(" ".join(page.texts).split())
    for told in (
        "PAR over the iterations mean over layers; a point for each iteration",
        "Transmit amount so far changed slots; a point for each iteration",
        "Iterations 1 to 80: mean PAR 2.000 (DS-EPLB 1.",
        "call 1, iterations 30 to 80, 4000 changed slots. Shown: layer 3",
        "p95 1.8000 1.8000 0.556 p99 - - -",
        "30 9 layers 9 4000 0.500 2.5000 1.5000 7 200 declined 0 0 - 1.5000 - 7",
    ):
        assert texts.count(told) == 3, told
    assert texts.count("device 5, 3.25 times mean 9: 300 tokens over 2 replicas") == 3 * 3 * 3
    data = [json.loads(text) for text in page.texts if text.startswith('{"iterations"')]
    assert [list(figure["curves"]) for figure in data[:2]] == [
        ["policy", "ds_eplb", "static", "clairvoyant"],
        ["policy", "ds_eplb"],
    ]
    assert data[0]["curves"]["policy"] == full[0][f"{key_of(NAMES[0])}/par"].round(4).tolist()
    assert data[1]["curves"]["policy"][-1] == full[0][f"{key_of(NAMES[0])}/transmit"].sum()
    pictures = [value for name, value in page.attributes if name == "alt" and value]
    assert len(pictures) == 6 and all(text.startswith("Heat map of PAR, ") for text in pictures)
    links = [value for name, value in page.attributes if name == "href" and value.startswith("#")]
    assert (
        links == [f"#{value}" for name, value in page.attributes if name == "id"] == ["#case-1", "#case-2", "#case-3"]
    )


def test_ds_eplb_is_shown_in_the_same_layer_and_bins(tmp_path, known, full):
    _, theirs, explained = full
    heat = theirs[f"{key_of(NAMES[0])}/ds_eplb/heat_map"]
    page = Page(page_of(write_run(tmp_path, known, *full)))
    first = next(table for table in page.tables if table[0][0] == "layer")
    starts = np.array(explained[key_of(NAMES[0])]["bin_starts"])
    assert [line[0] for line in first[1:]] == ["layer 3", "layer 1", "layer 2"]
    assert [line[2] for line in first[1:]] == [f"{heat[layer, starts <= 80].mean():.3f}" for layer in (3, 1, 2)]


def test_the_case_with_most_seconds_above_clairvoyance_is_open(tmp_path, known, full):
    # Of equal mean PAR, the third moves most; scores are lowest in the first.
    folder = write_run(tmp_path, known, *full, mean_par=1.5)
    opened = re.findall(r'<details class="case" open><summary><span class="name">([^<]*)', page_of(folder))
    assert opened == [NAMES[2]]


def test_the_page_of_the_full_grid_is_small(tmp_path):
    grid, iterations = large_reference(), 6144
    folder = write_run(tmp_path, grid, *curves(grid, iterations), explanations(grid, iterations))
    page = page_of(folder)
    assert page.count('<details class="case"') == 25
    assert page.count("; each point is the mean of 16 iterations; grey: the same for every policy</span>") == 25
    assert len(page.encode()) < 2_000_000


def test_the_page_refers_to_nothing_outside(tmp_path, known, full):
    page = page_of(write_run(tmp_path, known, *full))
    parsed = Page(page)
    assert not {"link", "iframe", "object", "embed", "base", "form"} & set(parsed.tags)
    for name, value in parsed.attributes:
        assert not name.startswith("on"), name
        if name in ("href", "src", "action", "data", "srcset", "xlink:href"):
            assert value.startswith(("#case-", "data:text/csv,", "data:image/png;base64,")), value
            assert not value.startswith("data:image") or base64.b64decode(value.partition(",")[2])[:4] == b"\x89PNG"
    assert not re.search(r"url\(|@import|<script[^>]+src", page)
    assert "Permission is hereby granted" in page
    assert page.count("<script>") == 1


def test_the_one_script_that_may_run_is_the_pages_own(tmp_path, known, full):
    page = page_of(write_run(tmp_path, known, *full))
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = (value for name, value in Page(page).attributes if name == "content" and "default-src" in value)
    assert f"; script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")


def key_of(name):
    """The key of a case in the companion files."""
    return name.replace(" ep ", "/")


# Hidden traces


SHOWN = (
    *('"curves"', "<img", "<script", "tokens", "expert ", "device", "layer"),
    *("changed slots", "percentile", "window"),
)


def test_traces_that_are_not_hidden_are_shown(tmp_path, known, full):
    page = page_of(write_run(tmp_path, known, *full))
    assert [text for text in SHOWN if text not in page] == []
    assert "The traces are hidden" not in page


@pytest.mark.parametrize(
    "grid",
    [*(GRID | {"hidden": value} for value in (True, None, 0, "", "false")), {"case_seconds": 60}, {}, None, [], "x"],
    ids=range(10),
)
def test_hidden_traces_show_nothing_but_numbers_of_whole_cases(tmp_path, known, full, monkeypatch, grid):
    monkeypatch.setattr("scoring.read_companions", lambda *_: pytest.fail("the companions were read"))
    page = page_of(write_run(tmp_path, known, *full, grid=grid))
    body = page[page.index("<h2>Each case") :]
    assert [text for text in SHOWN if text in body] == []
    assert not {"img", "script", "svg", "figure"} & set(Page(page).tags)
    parsed = Page(page)
    assert parsed.texts.count("The traces are hidden: the page shows only the numbers above.") == 3
    ladder, cases = parsed.tables
    assert (len(ladder), [row[0] for row in cases[1:]]) == (1 + 4, list(NAMES))
    assert "composite_score 100.0000" in parsed.texts


# Companions that are missing or broken


def test_an_old_reference_has_no_clairvoyant_and_no_heat_map(tmp_path, full):
    own, theirs, explained = full
    old = {name: array for name, array in theirs.items() if not re.search("clairvoyant|heat_map", name)}
    page = page_of(write_run(tmp_path, reference(), own, old, explained))
    assert page.count("Heat map of PAR, this policy") == 3
    assert "Heat map of PAR, DS-EPLB" not in page
    assert '"clairvoyant":[' not in page
    assert 'class="note"' not in page


def test_without_the_references_curves_the_page_says_so(tmp_path, known, full):
    own, _, explained = full
    page = page_of(write_run(tmp_path, known, own, None, explained))
    told = "the reference's series.npz cannot be read (no such file). The page does not draw the file's curves."
    assert [text for text in Page(page).texts if text.startswith("the reference's")] == [told]
    assert page.count('"curves":{"policy":[') == 6


FIRST = f"{key_of(NAMES[0])}/par"
MEMBERS = [f"{key_of(NAMES[0])}/{name}.npy" for name in ("par", "ds_eplb/par")]


def npy(shape, data=b"", kind="<f8"):
    """A file of numpy's with a shape and bytes that need not fit each other."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117)
    return b"\x93NUMPY\x01\x00v\x00" + header.encode() + b"\n" + data


def archive_of(data, method=zipfile.ZIP_DEFLATED, declared=None):
    """An archive with a curve of the first case; declared: its size as the archive's directory has it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name in MEMBERS:
            archive.writestr(name, data)
        if declared is not None:
            # Written when the archive is closed.
            for member in archive.infolist():
                member.file_size, member.CRC = declared, zlib.crc32(data[:declared])
    return buffer.getvalue()


# With an eighth of the limit the bombs are as small.
SMALL = LARGEST // 8
ZEROS = bytes(10 * 1024**2)
BOMBS = {
    "large": lambda: archive_of(npy((len(ZEROS) // 8,), ZEROS)),
    "large and of a larger shape": lambda: archive_of(npy((10**12,), ZEROS)),
    "larger than its directory says": lambda: archive_of(npy((len(ZEROS) // 8,), ZEROS), declared=4096),
    "of a large shape": lambda: archive_of(npy((50_000_000,))),
    "of a shape larger than memory": lambda: archive_of(npy((10**14,))),
    "of small numbers": lambda: archive_of(npy((3_750_000,), ZEROS[:3_750_000], "|i1")),
    "bzip2": lambda: archive_of(npy((1000,), ZEROS), zipfile.ZIP_BZIP2, declared=128 + 8000),
    "lzma": lambda: archive_of(npy((1000,), ZEROS), zipfile.ZIP_LZMA, declared=128 + 8000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_takes_memory(tmp_path, known, monkeypatch, name):
    monkeypatch.setattr(companions, "LARGEST", SMALL)
    data = BOMBS[name]()
    assert len(data) < 1_000_000
    for folder in ("res", "ref"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "series.npz").write_bytes(data)
    tracemalloc.start()
    try:
        found = read_companions(tmp_path / "res", tmp_path / "ref", known["cases"])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (found.series, found.reference) == ({}, {})
    assert len([note for note in found.notes if "series.npz cannot be read (ValueError: " in note]) == 2
    assert peak < 9_000_000


def test_all_curves_together_take_no_more_than_one_may(tmp_path, known, monkeypatch):
    monkeypatch.setattr(companions, "LARGEST", SMALL)
    whole = np.zeros(SMALL // 16 - 100)
    names = [f"{key_of(name)}/par" for name in NAMES]
    (tmp_path / "series.npz").write_bytes(series_bytes(dict.fromkeys(names[:2], whole)))
    assert list(read_companions(tmp_path, tmp_path, known["cases"]).series) == names[:2]
    (tmp_path / "series.npz").write_bytes(series_bytes(dict.fromkeys(names, whole)))
    found = read_companions(tmp_path, tmp_path, known["cases"])
    assert found.series == {}
    assert f"(ValueError: more than {SMALL} bytes)" in found.notes[0]


def test_only_what_the_page_uses_is_read(tmp_path, known):
    with zipfile.ZipFile(tmp_path / "series.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.npy", "DS-R1/other/32/par.npy", f"{FIRST}/more.npy"):
            archive.writestr(name, ZEROS)
        archive.writestr(f"{FIRST}.npy", npy((2,), np.array([1.0, 2.0]).tobytes()))
    found = read_companions(tmp_path, tmp_path, known["cases"])
    assert {key: array.tolist() for key, array in found.series.items()} == {FIRST: [1.0, 2.0]}


def test_explanations_that_are_too_large_are_refused(tmp_path, known):
    (tmp_path / "explain.json").write_bytes(b"{}" + b" " * LARGEST)
    found = read_companions(tmp_path, tmp_path, known["cases"])
    assert found.explanations == {}
    assert f"explain.json cannot be read (TooLarge: more than {LARGEST} bytes)" in " ".join(found.notes)


def pickled():
    """An archive with arrays of objects, which only pickle could load."""
    buffer = io.BytesIO()
    np.savez(buffer, **{name.removesuffix(".npy"): np.array([{}], dtype=object) for name in MEMBERS})
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [b"", b"no archive", b"PK\x05\x06" + bytes(18), archive_of(bytes(999)), pickled(), archive_of(npy((9**14,)))],
    ids=range(6),
)
def test_broken_series_leave_the_score_and_the_tables(tmp_path, known, full, data):
    page = page_of(write_run(tmp_path, known, data, data, full[2]))
    assert page.count("The run has no curves of this case.") == 3
    assert "<script" not in page
    assert len(Page(page).tables) > 6


def changed(**changes):
    """A case's entry of explain.json with other fields."""
    return explanation(reference()["cases"][0], ITERATIONS) | changes


def window(**changes):
    """An entry whose first window has other fields."""
    entry = changed()
    entry["costliest_windows"][0] |= changes
    return entry


def redeployment(**changes):
    """An entry whose redeployment has other fields."""
    entry = changed()
    return entry | {"largest_redeployment": entry["largest_redeployment"] | changes}


BROKEN = [
    *(None, [], "x", 5, {}, {"bin_starts": []}),
    *(changed(bin_starts=value) for value in (None, [], [2, 1], [1.5], ["1"], [[1]], [1, 2], [10**30])),
    *(changed(heat_map=value) for value in (None, [], [[]], [[1], [1, 2]], [["x"] * 64], [1] * 64, [[None] * 64])),
    *(changed(heat_map=[[1e999] * 64]), changed(heat_map=[[1] * 64] * 20_000)),
    *(changed(costliest_windows=value) for value in (None, {}, [None], [{}], [[]], "xxx")),
    *(window(first_iteration=value) for value in (None, "1", 0, -1, 1.5, True, 10**30, 9_000)),
    *(window(mean_par=value) for value in (None, "<b>", 1e999, [], -1)),
    *(window(layers=value) for value in (None, [{}], [5], "<b>")),
    *(redeployment(loads_before=value) for value in (None, "x", ["<b>"], [None], [1e999], [1.0] * 5000)),
    *(redeployment(call=value) for value in (None, "<b>", 0, 1.5)),
]


@pytest.mark.parametrize("entry", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_explanation_is_refused(entry):
    with pytest.raises(ValueError, match=r"\w"):
        read_explanation(entry)


def test_broken_explanations_leave_the_score_the_curves_and_the_other_cases(tmp_path, known, full):
    own, theirs, explained = full
    broken = {key_of(NAMES[0]): window(mean_par=HOSTILE), key_of(NAMES[1]): None}
    page = Page(page_of(write_run(tmp_path, known, own, theirs, explained | broken)))
    notes = [text for text in page.texts if "explain.json is broken" in text]
    assert len(notes) == 2
    assert HOSTILE not in page.texts
    assert len([text for text in page.texts if text.startswith('{"iterations"')]) == 6
    for data in (b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"format": 3}', b'{"format": 3, "cases": []}'):
        told = page_of(write_run(tmp_path, known, own, theirs, data))
        assert told.count("The run&#x27;s explain.json cannot be read") == 1
        assert told.count("The run has no explanation of this case.") == 3


@pytest.mark.parametrize(
    ("number", "author", "got", "next_step"),
    [
        (
            {},
            "an older",
            "no format number",
            "run the policy again with kit.py run; on Codabench, upload the policy again",
        ),
        (
            {"format": 2},
            "an older",
            "format 2",
            "run the policy again with kit.py run; on Codabench, upload the policy again",
        ),
        ({"format": 4}, "a newer", "format 4", "use the newer kit"),
    ],
)
def test_explanations_of_another_format_are_not_shown(tmp_path, known, full, number, author, got, next_step):
    own, theirs, explained = full
    data = json.dumps(number | {"cases": explained}).encode()
    page = Page(page_of(write_run(tmp_path, known, own, theirs, data)))
    assert (
        f"the run's explain.json: was written by {author} kit. Got: {got}. Expected: format 3. Next: {next_step}. "
        "Until then no case is explained."
    ) in page.texts
    assert page.texts.count("The run has no explanation of this case.") == 3


@pytest.mark.parametrize(
    "entry", [redeployment(loads_before=[0.0], loads_after=[]), changed(largest_redeployment=None)], ids=range(2)
)
def test_loads_of_nothing_are_no_error(tmp_path, known, full, entry):
    page = page_of(write_run(tmp_path, known, full[0], full[1], {key_of(NAMES[0]): entry}))
    assert "cannot be shown in detail" not in page


def test_a_case_that_cannot_be_drawn_takes_nothing_from_the_others(tmp_path, known, full, monkeypatch):
    drawn = []

    def break_first(*arguments):
        drawn.append(arguments)
        return 1 / 0 if len(drawn) == 1 else "as ever"

    monkeypatch.setattr("scores.page.case_details.curve_figures", break_first)
    page = page_of(write_run(tmp_path, known, *full))
    assert page.count("This case cannot be shown in detail (ZeroDivisionError).") == 1
    assert page.count("as ever") == 2


def test_a_policy_that_moves_nothing_is_told_so(tmp_path, known, full):
    entry = changed(largest_redeployment=None)
    page = page_of(write_run(tmp_path, known, full[0], full[1], {key_of(NAMES[0]): entry}))
    assert page.count("This policy never redeployed a layer") == 1


@pytest.mark.parametrize(
    "values",
    [np.full(ITERATIONS, np.nan), np.ones((ITERATIONS, 2)), np.array(1.0), np.array(["x"] * ITERATIONS), np.ones(0)],
    ids=range(5),
)
def test_curves_of_another_form_are_left_out(tmp_path, known, full, values):
    own, theirs, explained = full
    other = own | {f"{key_of(NAMES[0])}/par": values}
    baseline = theirs | {f"{key_of(NAMES[1])}/{name}/par": values for name in ("ds_eplb", "static", "clairvoyant")}
    page = page_of(write_run(tmp_path, known, other, baseline, explained))
    assert page.count("The run has no curves of this case.") == 1
    assert "cannot be shown in detail" not in page
    assert page.count('"ds_eplb":[') == 3


def test_reading_collects_notes_and_raises_nothing(tmp_path):
    rows = reference()["cases"]
    found = read_companions(tmp_path, tmp_path, rows)
    assert (found.series, found.explanations, found.reference, len(found.notes)) == ({}, {}, {}, 3)
    (tmp_path / "series.npz").write_bytes(series_bytes({FIRST: [1, 2]}))
    assert read_companions(tmp_path, tmp_path, rows).series[FIRST].tolist() == [1.0, 2.0]
