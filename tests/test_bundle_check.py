"""Rules for competition.yaml: a defect is seeded into a sound bundle, and must be found, by its own message alone."""

from __future__ import annotations

import copy
import struct
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import pytest
import yaml

from bundles import (
    DELETE,
    DEVELOPMENT,
    FINAL,
    KIT_ZIP,
    NAME,
    Change,
    all_of,
    assert_found,
    changed,
    competition,
    grid_key,
    inner,
    outer,
    page,
    rename,
    sound,
    whole,
)
from bundling.check import INDEPENDENT, STRUCTURE, WHOLE, Rule, check, faults_of, warnings
from bundling.parts import Files
from bundling.reader import Bundle, Fault
from commands.archive import archive, unpack

BOARD = ("leaderboards", 0)
GIF = b"GIF89a" + struct.pack("<HH", 300, 280)


def test_a_built_bundle_has_no_faults() -> None:
    assert check(archive(whole()), NAME) == check(archive(sound()), NAME) == []


def test_a_message_says_where_what_got_expected_and_next() -> None:
    (fault,) = check(changed(competition("title", value="")), NAME)
    assert str(fault) == (
        "competition.yaml: title is missing or too long. Got: 0 characters. Expected: text of 1 to 256 characters. "
        "Next: correct it."
    )


def move_competition(files: Files) -> None:
    """The whole bundle in a folder."""
    for name in list(files):
        files[f"bundle/{name}"] = files.pop(name)


def text(*replacements: tuple[str, str]) -> Change:
    """Replace text of competition.yaml."""

    def change(files: Files) -> None:
        content = files["competition.yaml"].decode()
        for old, new in replacements:
            assert old in content
            content = content.replace(old, new, 1)
        files["competition.yaml"] = content.encode()

    return change


def column(index: int, key: str, value: Any) -> Change:
    """Set a value of a column."""
    return competition(*BOARD, "columns", index, key, value=value)


def logo(content: bytes) -> Change:
    """Replace the image."""
    return outer("logo.png", content)


def png(width: int, height: int) -> bytes:
    """The head of a PNG."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)


QUESTION = {
    "key": "q",
    "type": "text",
    "title": "?",
    "selection": "",
    "is_required": "true",
    "is_on_leaderboard": "false",
}
SOLUTION = {"index": 0, "tasks": [0], "path": "starting_kit.zip", "name": "one"}

# id, the defect, the messages that it gives
FORM = [
    ("in a folder", move_competition, "does not lie at the zip's root"),
    ("other suffix", rename("competition.yaml", "competition.yml"), "does not lie at the zip's root"),
    ("not YAML", outer("competition.yaml", b"a: ["), "cannot be read"),
    ("not UTF-8", outer("competition.yaml", b"title: \xff"), "cannot be read"),
    ("key twice", text(("title:", "image: logo.png\ntitle:")), "cannot be read"),
    ("no mapping", outer("competition.yaml", b"- 1\n"), "is no mapping"),
    ("no version", competition("version", value=DELETE), "has another version"),
    ("other version", competition("version", value=3), "has another version"),
    ("phases no list", competition("phases", value={"name": "x"}), "is no list of mappings"),
    ("no columns", competition(*BOARD, "columns", value=DELETE), "is no list of mappings"),
    ("leaderboard", text(("leaderboards:", "leaderboard:")), "has a key that the platform does not read"),
    *(
        (f"unknown key {'.'.join(map(str, path)) or 'top'}", competition(*path, "x", value=1), message)
        for message in ["has a key that the platform does not read"]
        for path in [(), ("pages", 0), ("tasks", 0), ("phases", 0), BOARD, (*BOARD, "columns", 0)]
    ),
]
COMPETITION = [
    ("no title", competition("title", value=DELETE), "title is missing or too long"),
    ("long title", competition("title", value="x" * 257), "title is missing or too long"),
    ("no docker_image", competition("docker_image", value=DELETE), "docker_image is missing or too long"),
    ("long docker_image", competition("docker_image", value="x" * 129), "docker_image is missing or too long"),
    (
        "old image",
        competition("docker_image", value="codalab/codalab-legacy:py37"),
        "docker_image is too old for the programs",
    ),
    ("description", competition("description", value=1), "description is no text"),
    ("type", competition("competition_type", value="contest"), "competition_type is unknown"),
    ("e-mail", competition("contact_email", value="nobody"), "contact_email is no address"),
    ("queue", competition("queue", value="mine"), "queue is no id"),
    ("switch", competition("forum_enabled", value="yes"), "forum_enabled is no switch"),
    (
        "programs",
        competition("make_programs_available", value=True),
        "make_programs_available gives the organizers' files away",
    ),
    (
        "input",
        competition("make_input_data_available", value=True),
        "make_input_data_available gives the organizers' files away",
    ),
    ("details", competition("enable_detailed_results", value=DELETE), "enable_detailed_results is off"),
    ("fact sheet", competition("fact_sheet", value=[1]), "fact_sheet is no mapping"),
    ("question", competition("fact_sheet", value={"q": {"key": "q"}}), "is not complete"),
    ("question's key", competition("fact_sheet", value={"p": QUESTION}), "is not complete"),
    ("question's type", competition("fact_sheet", value={"q": QUESTION | {"type": "x"}}), "has an unknown type"),
    (
        "question's switch",
        competition("fact_sheet", value={"q": QUESTION | {"is_required": True}}),
        "is_required is no text",
    ),
    ("no image", competition("image", value=DELETE), "image does not exist"),
    ("image elsewhere", competition("image", value="x.png"), "image does not exist"),
    ("image by name only", logo(b"<svg/>"), "is no image"),
    ("wide image", logo(png(2000, 400)), "has a bad size"),
    ("small image", logo(png(64, 64)), "has a bad size"),
    ("no terms", competition("terms", value=DELETE), "terms does not exist"),
    ("terms elsewhere", competition("terms", value="terms.md"), "terms does not exist"),
    ("empty terms", all_of(outer("t.md", b" \n"), competition("terms", value="t.md")), "is empty"),
    ("no pages", competition("pages", value=DELETE), "has no pages"),
    ("empty pages", competition("pages", value=[]), "has no pages"),
    ("page without title", competition("pages", 0, "title", value=DELETE), "has no title"),
    ("page without file", competition("pages", 0, "file", value=DELETE), "file does not exist"),
    ("page elsewhere", competition("pages", 0, "file", value="pages/x.md"), "file does not exist"),
    ("empty page", page(""), "is empty"),
    ("page not UTF-8", page(b"# \xff"), "is not UTF-8"),
    ("style", page("# x\n<style>p {}</style>\n"), "has HTML, which the platform may drop"),
    ("style attribute", page('# x\n<p style="color: red">y</p>\n'), "has HTML, which the platform may drop"),
    ("script", page("# x\n<script>alert(1)</script>\n"), "has HTML, which the platform may drop"),
    ("dollars", page("# x\n`$a $b`\n"), "has code that is shown as a formula"),
    ("dollars in a block", page("# x\n\n```\n$a $b\n```\n"), "has code that is shown as a formula"),
    ("comment", page("# x\n<!-- y -->\n"), "has HTML, which the platform may drop"),
    ("relative image", page("# x\n![y](images/y.png)\n"), "links to a file that is not on the platform"),
    ("relative link", page("# x\n[y](policy.md#z)\n"), "links to a file that is not on the platform"),
    ("reference link", page("# x\n[y]\n\n[y]: policy.md\n"), "links to a file that is not on the platform"),
]
PHASES = [
    ("no tasks", competition("tasks", value=[]), "has no tasks", "names no task"),
    ("no phases", competition("phases", value=DELETE), "has no phases"),
    (
        "task index twice",
        competition("tasks", 1, "index", value=0),
        "indexes are missing or not unique",
        "names no task",
    ),
    ("phase index", competition("phases", 1, "index", value=DELETE), "indexes are missing or not unique"),
    ("task without name", competition("tasks", 0, "name", value=DELETE), "has an entry without name"),
    ("phase without name", competition("phases", 0, "name", value=None), "has an entry without name"),
    (
        "no scoring program",
        competition("tasks", 0, "scoring_program", value=DELETE),
        "scoring_program is not a zip of the bundle",
    ),
    (
        "no ingestion program",
        competition("tasks", 0, "ingestion_program", value=DELETE),
        "ingestion_program is not a zip of the bundle",
    ),
    (
        "plain file",
        competition("tasks", 0, "reference_data", value="logo.png"),
        "reference_data is not a zip of the bundle",
    ),
    (
        "during scoring",
        competition("tasks", 0, "ingestion_only_during_scoring", value=True),
        "ingestion_only_during_scoring cannot be used",
    ),
    ("input data", competition("tasks", 0, "input_data", value="data/"), "input_data is not a zip of the bundle"),
    ("empty task list", competition("phases", 0, "tasks", value=[]), "has not one task"),
    ("two tasks", competition("phases", 0, "tasks", value=[0, 1]), "has not one task"),
    ("unknown task", competition("phases", 0, "tasks", value=[5]), "names no task"),
    ("shared task", competition("phases", 1, "tasks", value=[0]), "shares its task"),
    ("solution", competition("solutions", value=[SOLUTION | {"path": "x"}]), "path is not a zip of the bundle"),
    ("solution's task", competition("solutions", value=[SOLUTION | {"tasks": [7]}]), "names no task"),
    ("unused", outer("extra.zip", archive({"a": b"b"})), "is not used"),
    (
        "unquoted date",
        competition("phases", 0, "start", value=datetime(2026, 12, 1)),
        "start is not quoted, so the platform drops its time",
    ),
    (
        "unquoted day",
        competition("phases", 1, "end", value=date(2027, 4, 1)),
        "end is not quoted, so the platform drops its time",
    ),
    (
        "zone",
        competition("phases", 0, "start", value="2026-12-01 00:00:00+09:00"),
        "start is no date that the platform keeps",
    ),
    ("no start", competition("phases", 0, "start", value=DELETE), "has no start"),
    ("no end", competition("phases", 0, "end", value=DELETE), "has no end"),
    ("overlap", competition("phases", 1, "start", value="2027-02-01 00:00:00"), "dates do not follow each other"),
    ("end at start", competition("phases", 1, "start", value="2027-02-28 23:59:00"), "dates do not follow each other"),
    (
        "end before start",
        competition("phases", 1, "end", value="2027-02-28 23:59:30"),
        "dates do not follow each other",
    ),
    ("submissions", competition("phases", 0, "max_submissions", value="300"), "max_submissions is no number"),
    (
        "submissions a day",
        competition("phases", 0, "max_submissions_per_day", value=-1),
        "max_submissions_per_day is no number",
    ),
    (
        "time limit a text",
        competition("phases", 0, "execution_time_limit", value="1800"),
        "execution_time_limit is too low",
    ),
    (
        "no time limit",
        competition("phases", 0, "execution_time_limit", value=DELETE),
        "execution_time_limit is too low",
    ),
    (
        "time limit below the grid's",
        competition("phases", 1, "execution_time_limit", value=1559),
        "execution_time_limit is too low",
    ),
    (
        "tiny time limit",
        all_of(
            competition("phases", 0, "execution_time_limit", value=59),
            grid_key(DEVELOPMENT, "limits", "grid_seconds", value=1),
        ),
        "execution_time_limit is too low",
    ),
    (
        "prediction shown",
        competition("phases", 0, "hide_prediction_output", value=DELETE),
        "hide_prediction_output is off",
    ),
    ("output shown", competition("phases", 1, "hide_output", value=False), "hide_output is off"),
    ("score shown", competition("phases", 1, "hide_score_output", value=DELETE), "hide_score_output is off"),
    ("hide a text", competition("phases", 0, "hide_output", value="no"), "hide_output is no switch"),
    (
        "hidden first phase shown",
        all_of(
            competition("tasks", 0, "ingestion_program", value=FINAL),
            competition("tasks", 1, "ingestion_program", value=DEVELOPMENT),
            competition("tasks", 0, "reference_data", value="reference_final.zip"),
            competition("tasks", 1, "reference_data", value="reference_development.zip"),
        ),
        "hide_output is off",
        "hide_score_output is off",
    ),
    (
        "no migration, and the pages tell of one",
        competition("phases", 1, "auto_migrate_to_this_phase", value=DELETE),
        "tells of a migration",
    ),
    (
        "migration a text",
        competition("phases", 1, "auto_migrate_to_this_phase", value="yes"),
        "auto_migrate_to_this_phase is no switch",
        "tells of a migration",
    ),
    (
        "migration to the first",
        competition("phases", 0, "auto_migrate_to_this_phase", value=True),
        "auto_migrate_to_this_phase is wrong",
    ),
    ("no kit", competition("phases", 0, "starting_kit", value=DELETE), "starting_kit is not a zip of the bundle"),
    ("empty kit", competition("phases", 0, "starting_kit", value=None), "starting_kit is not a zip of the bundle"),
    ("public data", competition("phases", 0, "public_data", value="x.zip"), "public_data is not a zip of the bundle"),
]
LEADERBOARD = [
    (
        "none",
        competition("leaderboards", value=[]),
        "has not one leaderboard",
        "columns are not those of scoring_program.zip",
    ),
    (
        "second",
        competition("leaderboards", "+", value={"title": "x", "key": "x", "columns": []}),
        "has not one leaderboard",
    ),
    ("long title", competition(*BOARD, "title", value="x" * 65), "title is missing or too long"),
    ("long key", competition(*BOARD, "key", value="x" * 37), "key is missing or too long"),
    ("no rule", competition(*BOARD, "submission_rule", value=DELETE), "submission_rule is unknown"),
    ("misspelled rule", competition(*BOARD, "submission_rule", value="Force Best"), "submission_rule is unknown"),
    (
        "other rule",
        competition(*BOARD, "submission_rule", value="Force_Last"),
        "submission_rule keeps another submission",
    ),
    ("column index twice", column(2, "index", 1), "index is not unique"),
    ("column index", column(2, "index", "2"), "has no index"),
    (
        "column key twice",
        column(2, "key", "mean_par"),
        "key is not unique",
        "columns are not those of scoring_program.zip",
    ),
    ("long column title", column(0, "title", "x" * 37), "title is missing or too long"),
    (
        "long column key",
        column(1, "key", "x" * 37),
        "key is missing or too long",
        "columns are not those of scoring_program.zip",
    ),
    ("precision", column(0, "precision", 4.5), "precision is not sensible"),
    ("large precision", column(0, "precision", 11), "precision is not sensible"),
    ("hidden column", column(4, "hidden", True), "is hidden"),
    ("computation", column(1, "computation", "avg"), "has a computation"),
    ("missing column", competition(*BOARD, "columns", 4, value=DELETE), "columns are not those of scoring_program.zip"),
    (
        "another scorer",
        inner("scoring_program.zip", "scores/modeled_runtime.py", b'COLUMNS = ("a",)'),
        "columns are not those of scoring_program.zip",
        "primary_index ranks another column",
        "is sorted the wrong way",
    ),
    (
        "unreadable scorer",
        inner("scoring_program.zip", "scores/modeled_runtime.py", b"COLUMNS = ("),
        "columns are not those of scoring_program.zip",
    ),
    ("no primary_index", competition(*BOARD, "primary_index", value=DELETE), "primary_index ranks another column"),
    ("primary_index of none", competition(*BOARD, "primary_index", value=9), "primary_index ranks another column"),
    ("primary_index of another", competition(*BOARD, "primary_index", value=1), "primary_index ranks another column"),
    ("composite ascending", column(0, "sorting", "asc"), "is sorted the wrong way"),
    ("par descending", column(1, "sorting", DELETE), "is sorted the wrong way"),
    ("sorting misspelled", column(3, "sorting", "ascending"), "is sorted the wrong way"),
]
DEFECTS = [*FORM, *COMPETITION, *PHASES, *LEADERBOARD]


@pytest.mark.parametrize(("change", "messages"), [pytest.param(d[1], d[2:], id=d[0]) for d in DEFECTS])
def test_a_seeded_defect_has_its_message(change: Change, messages: tuple[str, ...]) -> None:
    assert_found(change, messages)


@pytest.mark.parametrize(
    "change",
    [
        competition("version", value="2"),
        competition("competition_type", value=DELETE),
        competition("queue", value="4f9a3b6e-0c1d-4f5e-8a7b-9c0d1e2f3a4b"),
        competition("contact_email", value="organizers@example.org"),
        competition("fact_sheet", value={"q": QUESTION}),
        competition("solutions", value=[SOLUTION]),
        competition("solutions", value=[]),
        competition("phases", 1, "end", value=DELETE),
        all_of(
            competition("phases", 1, "auto_migrate_to_this_phase", value=DELETE),
            *(
                outer(f"pages/{name}.md", b"# Each phase takes submissions of its own\n")
                for name in ("overview", "rules")
            ),
        ),
        all_of(
            competition("phases", 0, "max_submissions", value=0),
            *(outer(f"pages/{name}.md", b"# As often as you like\n") for name in ("overview", "rules")),
        ),
        competition("phases", 1, "execution_time_limit", value=1560),
        competition("make_programs_available", value=DELETE),
        page("# x\n$y = x$\n\n`$a` and `<style>` and\n\n```\n<script> [a](b)\n```\n[z](https://example.org)\n"),
        logo(GIF),
        all_of(competition("phases", 0, "public_data", value=KIT_ZIP)),
        # The order of phases in the file is not theirs.
        lambda files: competition("phases", value=yaml.safe_load(files["competition.yaml"])["phases"][::-1])(files),
    ],
)
def test_what_the_platform_takes_is_no_fault(change: Change) -> None:
    assert check(changed(change), NAME) == []


def ended(data: bytes, now: datetime) -> list[Fault]:
    """The warnings of phases that are over."""
    return [warning for warning in warnings(data, now) if "over" in warning.what]


@pytest.mark.parametrize(
    ("now", "over"),
    [
        ("2027-02-28 23:58:59", []),
        ("2027-02-28 23:59:00", ["Development"]),
        ("2027-04-01 00:00:00", ["Development", "Final"]),
    ],
)
def test_a_phase_that_is_over_is_a_warning(now: str, over: list[str]) -> None:
    found = ended(archive(sound()), datetime.strptime(now, "%Y-%m-%d %H:%M:%S"))
    assert [warning.where for warning in found] == [[f"phase {name!r}"] for name in over]
    for warning in found[:1]:
        assert str(warning) == (
            f"phase 'Development': is over already. Got: end 2027-02-28 23:59:00, and it is {now} UTC. Expected: an "
            "end to come, or nobody can submit. Next: correct start and end in competition.yaml."
        )


def test_a_phase_without_an_end_is_never_over() -> None:
    data = changed(competition("phases", 1, "end", value=DELETE))
    assert [warning.where for warning in ended(data, datetime(2100, 1, 1))] == [["phase 'Development'"]]


OWN = (
    ("queue", "01234567-89ab-cdef-0123-456789abcdef"),
    ("contact_email", "organizers@example.org"),
)


@pytest.mark.parametrize(
    ("keys", "hidden", "missing"),
    [
        ((), True, ["names no queue", "has no contact_email"]),
        (OWN[:1], True, ["has no contact_email"]),
        (OWN, True, []),
        ((), False, []),
    ],
)
def test_what_hidden_traces_need_and_the_bundle_leaves_open_is_a_warning(
    keys: tuple[tuple[str, str], ...], hidden: bool, missing: list[str]
) -> None:
    changes = [competition(key, value=value) for key, value in keys]
    for key, value in () if hidden else (("hidden", False), ("sandbox", "best_effort")):
        changes.append(grid_key(FINAL, key, value=value))
    found = warnings(changed(*changes), datetime(2026, 12, 1))
    assert [warning.what for warning in found] == missing
    if "names no queue" in missing:
        assert str(found[0]) == (
            "competition.yaml: names no queue. Got: no key queue, so the default queue. Expected: queue: the Vhost of "
            "your own, whose workers have traces and sandbox of phase 'Final'. Next: make one "
            "(ORGANIZERS.md, section 5), write it in, and build again."
        )


# Nothing may stop the check


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value of nested lists and mappings."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in items:
        yield (*path, key)
        yield from places(entry, (*path, key))


SMALL = ("metadata.yaml", "ds_eplb.json", "starting_kit/kit.py", "grid.yaml", "modeled_runtime.py", "scoring.py")
ODD = [None, [], {}, "", "x", 5, -1.5, True, [[]], {"x": []}, [None], date(2027, 1, 1)]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_odd_values_are_faults_and_no_crash(odd: Any) -> None:
    content = yaml.safe_load(sound()["competition.yaml"])
    # Of the parts, a few small files do: this is about competition.yaml.
    small = {
        name: archive({file: data for file, data in unpack(data).items() if file in SMALL})
        for name, data in sound().items()
        if name.endswith(".zip")
    }
    for path in places(content):
        changed_content = copy.deepcopy(content)
        entry = changed_content
        for step in path[:-1]:
            entry = entry[step]
        entry[path[-1]] = odd
        assert all(str(fault) for fault in faults_of(sound() | small, changed_content))


@pytest.mark.parametrize("rule", [*INDEPENDENT, *STRUCTURE, *WHOLE], ids=lambda rule: rule.__name__)
def test_a_rule_can_look_at_an_empty_bundle(rule: Rule) -> None:
    assert all(isinstance(fault, Fault) for fault in rule(Bundle({}, {})))
