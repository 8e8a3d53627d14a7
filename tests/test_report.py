"""The detailed-results page: whole, self-contained, written first, and harmless whatever a participant sends."""

import pytest

import scoring
from page_parser import HOSTILE, Page
from score_files import (
    NAMES,
    failed_results,
    failure,
    left_in,
    reference,
    results,
    score,
    stopped,
    write,
    write_results,
)


def row_of(name, status, measured, others):
    """A row of the table of cases without clairvoyance, each measure before DS-EPLB's."""
    score, *cells = (f"{own} {other}" for own, other in zip(measured.split(), others.split(), strict=True))
    return [name, status, score, "-", *cells]


def tags_of(text):
    """The page's tags in order, which no content from a participant may change."""
    return Page(text).tags


def scored(tmp_path, capsys, **changes):
    """The page of a scored run."""
    run = score(tmp_path, capsys, results(**changes))
    assert run.code == 0
    return run.page


# What it shows


def test_a_scored_page_has_the_score_and_a_row_per_case(tmp_path, capsys):
    page = Page(scored(tmp_path, capsys, mean_par=1.125))
    table = page.tables[1]
    assert table[0] == [
        *("case", "status", "case score", "clairvoyant", "of the way", "mean PAR", "transmit", "modeled s"),
        "policy s",
    ]
    assert [row[0] for row in table[1:]] == list(NAMES)
    same = "100.00 - 1.2500 40000 78.915"
    assert table[1] == [*row_of(NAMES[0], "ok", same, same), "1.250 "]
    better, baseline = "130.67 - 1.1250 60000 73.372", "100.00 - 1.5000 60000 95.872"
    assert table[2] == [*row_of(NAMES[1], "ok", better, baseline), "1.250 "]
    assert "composite_score 110.2219" in page.texts
    assert (
        "Mean of the case scores. DS-EPLB scores 100 in every case. Above 100, the policy needs less modeled time. "
        "mean_par 1.3750 (0.9167 of DS-EPLB's), transmit_amount 190000 (1.0000 of DS-EPLB's)."
    ) in page.texts
    assert "simulator 1.0.0, python 3.12.0" in page.texts


def test_the_score_stands_among_those_of_the_yardsticks(tmp_path, capsys):
    assert Page(scored(tmp_path, capsys, mean_par=1.125)).tables[0][1:] == [
        ["DS-EPLB, the baseline", "100.00", ""],
        ["this submission", "110.22", ""],
    ]
    known = reference()
    for row in known["cases"]:
        row |= {"static_mean_par": 2.0, "clairvoyant_mean_par": 1.1}
    page = Page(score(tmp_path, capsys, results(mean_par=1.125), known).page)
    assert [row[1] for row in page.tables[0][1:]] == ["80.17", "100.00", "110.22", "145.75"]
    # 60 s * (2 - 1.25) - 3.915 s of 60 s * (2 - 1.1), and so on.
    assert [row[4] for row in page.tables[1][1:]] == ["76.1 % 76.1 %", "86.3 % 44.7 %", "11.5 % 11.5 %"]
    assert [row[3] for row in page.tables[1][1:]] == ["119.57", "145.26", "172.44"]


def since(folder, capsys, previous, *options):
    """The last column of the table of cases, and the page's texts, after an earlier run with these results."""
    write_results(folder / "before", previous)
    write_results(folder / "res", results(mean_par=1.125))
    write(folder / "ref" / "ds_eplb.json", reference())
    folders = [f"--{name}={folder / place}" for name, place in (("results", "res"), ("reference", "ref"))]
    folders += [f"--previous={folder / 'before'}", f"--output={folder / 'output'}"]
    assert scoring.main([*folders, *options]) == 0
    capsys.readouterr()
    page = Page(left_in(folder / "output")[0])
    return [row[-1] for row in page.tables[1]], page.texts


def test_the_page_shows_what_changed_since_an_earlier_run_on_the_same_traces(tmp_path, capsys):
    cells, texts = since(tmp_path, capsys, results(mean_par=1.5001))
    # 100 * 95.872 s / 73.372 s and / 95.878 s: 130.6656 - 99.9937.
    assert cells == ["since last run", "+0.00", "+30.67", "+0.00"]
    place = texts.index("Change since the last run of this policy on these traces, ")
    assert texts[place + 1 : place + 3] == ["before", ": composite_score +10.2240."]


def test_an_earlier_run_of_another_policy_is_called_by_that_policys_name(tmp_path, capsys):
    cells, texts = since(tmp_path, capsys, results(mean_par=1.5001), f"--previous-policy={HOSTILE}")
    assert cells == ["since another policy", "+0.00", "+30.67", "+0.00"]
    place = texts.index("Change since the last run on these traces, of another policy, ")
    assert texts[place + 1 : place + 5] == [HOSTILE, ", ", "before", ": composite_score +10.2240."]


@pytest.mark.parametrize(
    "previous",
    [
        None,
        "no JSON",
        failed_results(),
        stopped("refused", "no policy"),
        results(trace_sha256="another"),
        results(status="crashed", failure=failure("no policy")),
        results() | {"format": 1},
        results() | {"cases": results()["cases"][:2]},
    ],
)
def test_an_earlier_run_that_does_not_fit_is_not_shown(tmp_path, capsys, previous):
    (tmp_path / "before").mkdir()
    cells, texts = since(tmp_path, capsys, previous)
    assert cells[0] == "policy s" and not any("last run" in text for text in texts)


@pytest.mark.parametrize("content", [results(), failed_results(), b"broken"])
def test_the_page_names_the_policy_by_its_name_or_else_by_its_hash(tmp_path, capsys, content):
    if isinstance(content, dict):
        content |= {"receipt": {"policy_sha256": "970ac479380d"}}
        texts = Page(score(tmp_path, capsys, content).page).texts
        assert texts[texts.index("Policy: ") + 1] == "970ac479380d"
    write_results(tmp_path / "res", content)
    write(tmp_path / "ref" / "ds_eplb.json", reference())
    folders = [f"--results={tmp_path / 'res'}", f"--reference={tmp_path / 'ref'}", f"--output={tmp_path / 'output'}"]
    scoring.main([*folders, f"--policy={HOSTILE}"])
    capsys.readouterr()
    texts = Page(left_in(tmp_path / "output")[0]).texts
    assert texts[texts.index("Policy: ") + 1] == HOSTILE


def test_the_receipt_stands_apart_from_the_versions(tmp_path, capsys):
    receipt = {"kit": "1.0.0", "simulator_sha256": "0a", "policy_sha256": "1b", "grid": "sample", "grid_sha256": "2c"}
    texts = Page(score(tmp_path, capsys, results() | {"receipt": receipt}).page).texts
    assert {"kit 1.0.0, simulator 0a, policy 1b, grid sample 2c", "simulator 1.0.0, python 3.12.0"} <= set(texts)
    texts = Page(score(tmp_path, capsys, results() | {"receipt": {"kit": "1.0.0", "grid": 5}}).page).texts
    assert "kit 1.0.0" in texts
    for receipt in (None, [], "x", {}, {"kit": "x" * 1000}):
        assert "Receipt: " not in Page(score(tmp_path, capsys, results() | {"receipt": receipt}).page).texts


@pytest.mark.parametrize(
    ("grid", "purpose"),
    [
        ("sample", "mistakes"),
        ("practice", "ranks ideas"),
        ("official", "counts on the leaderboard"),
        ("mine", None),
        (5, None),
    ],
)
def test_the_head_says_what_a_named_grid_is_for(tmp_path, capsys, grid, purpose):
    for content in (results(), failed_results()):
        texts = Page(score(tmp_path, capsys, content | {"receipt": {"grid": grid}}).page).texts
        said = [text for text in texts if text.startswith(f"The {grid} grid ")]
        assert [purpose in text for text in said] == ([True] if purpose else [])


@pytest.mark.parametrize(
    ("grid", "told"),
    [({"case_seconds": 60}, "1.250 of 60 s"), *((grid, "1.250 ") for grid in (None, [], {}, {"case_seconds": "60"}))],
)
def test_policy_seconds_stand_beside_the_limit_where_the_results_have_it(tmp_path, capsys, grid, told):
    page = Page(score(tmp_path, capsys, results() | {"grid": grid}).page)
    assert [row[-1] for row in page.tables[1][1:]] == [told] * 3


def test_a_failed_page_lists_each_failing_case_with_what_failed(tmp_path, capsys):
    run = score(tmp_path, capsys, failed_results())
    page = Page(run.page)
    (cases,) = page.tables
    assert [row[:2] for row in cases[1:]] == [[NAMES[0], "ok"], [NAMES[1], "timeout"], [NAMES[2], "crashed"]]
    baseline = "100.00 - 1.5000 60000 95.872"
    assert cases[2] == [*row_of(NAMES[1], "timeout", "- - - - -", baseline), "1.250 "]
    assert {f"{NAMES[1]}, call 2: too slow.", f"{NAMES[2]}: no policy."} <= set(page.texts)
    assert "No score: failed" in page.texts
    assert "2 of 3 cases failed" in page.texts


@pytest.mark.parametrize("hidden", [True, False])
def test_a_failed_page_shows_what_was_measured_unless_the_traces_are_hidden(tmp_path, capsys, hidden):
    content = failed_results()
    content["cases"][0] |= {"status": "ok", "failure": None, "mean_par": 1.375, "transmit_amount": 777}
    run = score(tmp_path, capsys, content | {"grid": content["grid"] | {"hidden": hidden}})
    assert (run.code, "1.3750" in run.page, "777" in run.page) == (1, not hidden, not hidden)
    # Which case failed, and where, is told all the same.
    assert "no policy" in run.page


def test_a_failure_is_told_by_place_got_and_expected(tmp_path, capsys):
    said = "[[1]]. Expected: nothing. Next: none"
    told = failure("an expert has no slot", "call 2, layer 7", said, "all", "add it")
    texts = Page(score(tmp_path, capsys, results(status="invalid_answer", failure=told)).page).texts
    parts = ("an expert has no slot", "where", "call 2, layer 7", "got", said, "expected", "all", "next step", "add it")
    assert [text for text in texts if text in parts] == list(parts)
    whole = failure("it ended", "", "exit code 1", "a case", "look")
    assert "the whole case" in Page(score(tmp_path, capsys, results(status="crashed", failure=whole)).page).texts


def test_a_failure_of_which_no_more_is_told_is_one_sentence(tmp_path, capsys):
    told = failure(
        "crashed. Hidden traces: no more is told", "call 2", next_step="run the policy with the kit (kit.py run)"
    )
    page = Page(score(tmp_path, capsys, results(status="crashed", failure=told)).page)
    assert (
        f"{NAMES[1]}, call 2: crashed. Hidden traces: no more is told. Next: repeat the failure with the kit."
    ) in page.texts
    assert "dl" not in page.tags


@pytest.mark.parametrize(
    ("status", "where", "seconds", "told"),
    [
        ("crashed", "call 2", 1.0, "The policy raised an exception, or the policy's process ended. Most failures"),
        (
            "crashed",
            "",
            1.0,
            "The policy could not be loaded: an exception at import or in __init__, a missing file or",
        ),
        ("timeout", "", 30.0, "A time limit was reached before the first call: start_seconds (import and __init__) or"),
        (
            "timeout",
            "call 2",
            10.5,
            "A time limit was reached during this call: call_seconds (one call), grid_seconds (the whole grid) or "
            "case_seconds (processor time of",
        ),
        ("timeout", "call 2", 60.0, "Start and all calls of the case together reached case_seconds (60 s). The page"),
        (
            "invalid_answer",
            "call 1",
            1.0,
            "An answer broke a rule of the page Policy. kit.py check finds most of these.",
        ),
        ("out_of_memory", "call 1", 1.0, "A limit of memory, threads or temporary files was reached. The pages"),
    ],
)
def test_a_failure_on_hidden_traces_names_what_the_kit_can_tell(tmp_path, capsys, status, where, seconds, told):
    content = results(
        status=status, failure=failure(f"{status}. Hidden traces: no more is told", where, next_step="try it")
    )
    (row,) = [row for row in content["cases"] if row["status"] == status]
    row["policy_seconds"], content["grid"] = seconds, {"name": "final", "case_seconds": 60.0}
    texts = Page(score(tmp_path, capsys, content).page).texts
    (hint,) = [text for text in texts if text.startswith(told)]
    assert "kit.py " in hint and "Development" not in "".join(texts)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("refused", "no good."),
        (
            "data_unavailable",
            "The competition's data is not available on this worker. The organizers find the reason in the log.",
        ),
    ],
)
def test_a_page_without_cases_has_the_sentence_or_says_that_it_is_the_organizers_turn(tmp_path, capsys, status, told):
    run = score(tmp_path, capsys, stopped(status, "no good"))
    page = Page(run.page)
    assert page.tables == []
    assert {f"No score: {status}", told} <= set(page.texts)
    assert f"No score: {status}: no good." in run.lines


@pytest.mark.parametrize("seconds", [..., None, "1", [1], True, -1, 1e999, 10**400])
def test_policy_seconds_that_are_no_number_are_a_dash(tmp_path, capsys, seconds):
    page = Page(scored(tmp_path, capsys, policy_seconds=seconds))
    assert [row[-1] for row in page.tables[1][1:]] == ["1.250 ", "-", "1.250 "]


def test_versions_that_are_no_text_are_left_out(tmp_path, capsys):
    versions = {"simulator": "1.0.0", "a": None, "b": ["x"], "c": {}}
    run = score(tmp_path, capsys, results() | {"versions": versions})
    assert run.code == 0 and "simulator 1.0.0" in Page(run.page).texts
    for versions in (None, [], "1", {"a": None}):
        run = score(tmp_path, capsys, results() | {"versions": versions})
        assert run.code == 2 and "another simulator_version. Got: null." in run.page


# Harmless


def every_page(tmp_path, capsys, text=HOSTILE):
    """Pages of all kinds in which every free text of the results is `text`."""
    versions = {"simulator": "1.0.0", "python": text}
    told = failure(*[text] * 5)
    failing = failed_results() | {"versions": versions}
    for row in failing["cases"]:
        row["failure"] = told
    contents = {
        "scored": results(failure=told, notes=text) | {"failure": told, "versions": versions},
        "failed": failing,
        "refused": stopped("refused", text) | {"versions": versions},
        "unavailable": stopped("data_unavailable", text) | {"versions": versions},
        "foreign": results(model=text),
        "status": results() | {"status": text},
        "row status": results(status=text),
        "other trace": results(trace_sha256=text),
        "broken": text.encode("utf-8", "backslashreplace"),
    }
    return {name: score(tmp_path, capsys, content).page for name, content in contents.items()}


def test_everything_from_a_participant_is_escaped(tmp_path, capsys):
    plain, hostile = every_page(tmp_path, capsys, "x" * len(HOSTILE)), every_page(tmp_path, capsys)
    for name, page in hostile.items():
        assert tags_of(page) == tags_of(plain[name]), name
        assert "<script" not in page, name
        assert page.count("<title>") == page.count("</title>") == 1, name
    assert f"{HOSTILE}." in Page(hostile["refused"]).texts
    assert Page(hostile["failed"]).texts.count(HOSTILE) == 10
    assert f"simulator 1.0.0, python {HOSTILE}" in Page(hostile["scored"]).texts


@pytest.mark.parametrize("text", ["\ud800", "\x00\x1b[2J", "a\nb\r\n c", "\u202e\u2028", "x" * 100_000])
def test_odd_characters_leave_a_whole_page(tmp_path, capsys, text):
    for page in every_page(tmp_path, capsys, text).values():
        Page(page)


def test_case_names_are_escaped(tmp_path, capsys):
    named = reference()
    named["cases"][1]["model"] = HOSTILE
    run = score(tmp_path, capsys, results(model=HOSTILE), named)
    assert run.code == 0
    assert Page(run.page).tables[1][2][0] == f"{HOSTILE}/made-up ep 64"


def test_the_page_needs_nothing_from_outside(tmp_path, capsys):
    for page in every_page(tmp_path, capsys, "plain").values():
        parsed = Page(page)
        assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(parsed.tags)
        addresses = [value for name, value in parsed.attributes if name in ("href", "src", "action", "data", "srcset")]
        assert all(address.startswith(("#case-", "data:text/csv,")) for address in addresses)
        assert not any(mark in page for mark in ("http:", "https:", "//", "url(", "@import", "src="))
        head = '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        assert page.startswith(
            f'{head}<meta http-equiv="Content-Security-Policy" content="default-src &#x27;none&#x27;;'
        )


def test_no_placeholder_of_the_template_is_left(tmp_path, capsys):
    for page in every_page(tmp_path, capsys, "plain").values():
        assert "$" not in page


# Written first


def not_written(tmp_path, capsys):
    """Run the scoring program where one of its files cannot be written: the sentence on standard error."""
    write_results(tmp_path / "res", results())
    write(tmp_path / "ref" / "ds_eplb.json", reference())
    folders = ("--results", "res"), ("--reference", "ref"), ("--output", "output")
    assert scoring.main([text for name, folder in folders for text in (name, str(tmp_path / folder))]) == 2
    return capsys.readouterr().err


def test_the_page_stands_when_writing_the_scores_fails(tmp_path, capsys):
    (tmp_path / "output" / ".scores.json.part").mkdir(parents=True)
    assert not_written(tmp_path, capsys).startswith("scoring: the output cannot be written. Got: [Errno 21]")
    page = (tmp_path / "output" / "detailed_results.html").read_text(encoding="utf-8")
    assert "composite_score 100.0000" in Page(page).texts
    assert not (tmp_path / "output" / "scores.json").exists()


def test_no_scores_stand_when_writing_the_page_fails(tmp_path, capsys):
    (tmp_path / "output" / ".detailed_results.html.part").mkdir(parents=True)
    assert not_written(tmp_path, capsys).startswith("scoring: the output cannot be written. Got: [Errno 21]")
    assert not (tmp_path / "output" / "scores.json").exists()


def test_a_file_that_cannot_be_placed_leaves_no_part(tmp_path):
    (tmp_path / "scores.json").mkdir()
    with pytest.raises(OSError, match="scores"):
        scoring.write(tmp_path / "scores.json", "{}")
    assert [path.name for path in tmp_path.iterdir()] == ["scores.json"]


def test_files_are_written_in_this_order_and_whole(tmp_path, capsys, monkeypatch):
    moved = []
    replace = scoring.os.replace
    monkeypatch.setattr(scoring.os, "replace", lambda old, new: (moved.append(new.name), replace(old, new)))
    score(tmp_path, capsys, results())
    assert moved == ["detailed_results.html", "scores.json"]
    moved.clear()
    score(tmp_path, capsys, failed_results())
    assert moved == ["detailed_results.html"]


def test_the_output_folder_is_made(tmp_path, capsys):
    write_results(tmp_path, results())
    write(tmp_path / "ds_eplb.json", reference())
    output = tmp_path / "new" / "output"
    folders = ["--results", str(tmp_path), "--reference", str(tmp_path), "--output", str(output)]
    assert scoring.main(folders) == 0
    assert capsys.readouterr().out.endswith("\ncomposite_score: 100.0000\n")
    assert left_in(output)[1]["composite_score"] == 100.0
