"""What the scoring program refuses to compare, with the exact texts; it never ends with a traceback."""

import json
from html import escape

import pytest

from placement import grid
from placement.isolation import sandbox
from score_files import COST, FORMAT, NAMES, RESULTS_FORMAT, failed_results, failure, reference, results, score, stopped
from scores.comparison import REQUIRED_LAYERS, SANDBOXES
from scores.problems import FileError

FIND = " Next: find the reason in the log of the ingestion program, then run again."
OTHER = (
    " Next: use the grid and the traces that the reference was made from, or make a new reference with kit.py "
    "reference; "
    "on Codabench, tell the organizers."
)
REBUILD = " Next: nothing for participants to do; organizers write the reference again with kit.py reference."
STATUSES = "Expected: one of scored, failed, refused, data_unavailable."
CASE_STATUSES = "Expected: one of ok, crashed, timeout, out_of_memory, invalid_answer."
MEAN_PAR = "Expected: a number, at least 1 and less than 1e+10."
AMOUNT = "Expected: an integer, at least 0 and less than 1e+10."
MIDDLE = NAMES[1]


def refused(run, code, text):
    """Whether a run printed exactly this text, returned this code, and put the text on a page without a score."""
    status = "data_unavailable" if code == 2 else "failed"
    assert run.lines == [text]
    assert run.code == code
    assert run.scores is None
    assert f"<p>{escape(text)}</p>" in run.page
    assert f"No score: {status}<" in run.page
    return True


def nested(depth):
    """A list in a list in a list, as JSON text."""
    return "[" * depth + "]" * depth


# Broken references: the organizers' fault

BAD_ROWS = [
    ({"transmit_amount": 0}, f"{MIDDLE} has no transmit. Got: transmit_amount 0. Expected: a transmit_amount above 0."),
    ({"mean_par": True}, f"{MIDDLE} has no valid mean_par. Got: true. {MEAN_PAR}"),
    ({"mean_par": "1.5"}, f'{MIDDLE} has no valid mean_par. Got: "1.5". {MEAN_PAR}'),
    ({"mean_par": ...}, f"{MIDDLE} has no valid mean_par. Got: null. {MEAN_PAR}"),
    ({"transmit_amount": False}, f"{MIDDLE} has no valid transmit_amount. Got: false. {AMOUNT}"),
    ({"window": 0}, f"{MIDDLE} has no valid window. Got: 0. {AMOUNT.replace('0', '1', 1)}"),
    ({"latency": ...}, f"{MIDDLE} has no valid latency. Got: null. {AMOUNT}"),
    ({"trace_sha256": 5}, f"{MIDDLE} has no valid trace_sha256. Got: 5. Expected: a hash, as text."),
    ({"cost": []}, f"{MIDDLE} has no valid cost. Got: []. Expected: {', '.join(COST)}."),
    ({"model": ["x"]}, 'has a case without a valid model. Got: ["x"]. Expected: text.'),
    ({"dataset": ...}, "has a case without a valid dataset. Got: null. Expected: text."),
    ({"ep": 64.0}, "has a case without a valid ep. Got: 64.0. Expected: an integer."),
    ({"mean_par": 1e999}, f"{MIDDLE} has no valid mean_par. Got: Infinity. {MEAN_PAR}"),
    ({"ep": True}, "has a case without a valid ep. Got: true. Expected: an integer."),
] + [
    (
        {"cost": COST | {"expert_bytes": value}},
        f"{MIDDLE} has no valid cost.expert_bytes. Got: {shown}. Expected: a number above 0 and less than 1e+15.",
    )
    for value, shown in ((-1, "-1"), (0, "0"), (True, "true"), (None, "null"), (1e15, "1000000000000000.0"))
]


@pytest.mark.parametrize(("changes", "text"), BAD_ROWS)
def test_a_bad_row_of_the_reference(tmp_path, capsys, changes, text):
    broken = FORMAT | {"cases": results(**changes)["cases"]}
    assert refused(score(tmp_path, capsys, results(), broken), 2, f"ds_eplb.json: {text}{REBUILD}")


BAD_FILES = [
    ("", "cannot be read. Got: JSONDecodeError: Expecting value: line 1 column 1 (char 0). Expected: strict JSON."),
    ('{"a": NaN}', "cannot be read. Got: ValueError: NaN is not allowed in JSON. Expected: strict JSON."),
    ('{"a": -Infinity}', "cannot be read. Got: ValueError: -Infinity is not allowed in JSON. Expected: strict JSON."),
    (nested(100_000), "cannot be read. Got: too many nested lists or objects. Expected: strict JSON."),
    ("[]", "has the wrong form. Got: []. Expected: a JSON object."),
    (
        b'{"a": "\xff"}',
        "cannot be read. Got: UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 7: "
        "invalid start byte. Expected: strict JSON.",
    ),
]
BAD_CASES = [
    ([], "has no cases. Got: []. Expected: a list of cases."),
    (None, "has no cases. Got: null. Expected: a list of cases."),
    ({"a": 1}, 'has no cases. Got: {"a": 1}. Expected: a list of cases.'),
    (["<b>"], 'has a case that is not an object. Got: "<b>". Expected: a JSON object.'),
    (results()["cases"] * 2, f"lists cases twice. Got: {', '.join(NAMES)}. Expected: each case once."),
]


@pytest.mark.parametrize(
    ("content", "text"), BAD_FILES + [(FORMAT | {"cases": cases}, text) for cases, text in BAD_CASES]
)
def test_a_bad_reference_file(tmp_path, capsys, content, text):
    assert refused(score(tmp_path, capsys, results(), content), 2, f"ds_eplb.json: {text}{REBUILD}")


# Broken results


@pytest.mark.parametrize(
    ("content", "text"),
    [
        *BAD_FILES,
        *[(results() | {"cases": cases}, text) for cases, text in BAD_CASES],
        (results() | {"status": "fine"}, f'has an unknown status. Got: "fine". {STATUSES}'),
        (results() | {"status": ["scored"]}, f'has an unknown status. Got: ["scored"]. {STATUSES}'),
        (RESULTS_FORMAT, f"has an unknown status. Got: null. {STATUSES}"),
    ],
)
def test_a_bad_results_file(tmp_path, capsys, content, text):
    assert refused(score(tmp_path, capsys, content), 1, f"results.json: {text}{FIND}")


def test_a_missing_results_file_is_the_organizers_to_explain(tmp_path, capsys):
    text = "results.json: is missing. Got: no such file. Expected: the file that the ingestion program writes."
    find = " Next: nothing for participants to do; organizers find the reason in the log of the ingestion program."
    assert refused(score(tmp_path, capsys, None), 2, text + find)


def test_the_error_of_a_file_keeps_its_fields():
    error = FileError("refused", "results.json", "is empty", 0, "a case", "run again")
    assert error.fields == failure("is empty", "results.json", "0", "a case", "run again")
    assert str(error) == "results.json: is empty. Got: 0. Expected: a case. Next: run again."


def test_failed_without_a_failing_case_is_broken(tmp_path, capsys):
    text = (
        "results.json: has the status failed without a failed case. Got: 3 cases with status ok. Expected: at least "
        f"one failed case.{FIND}"
    )
    assert refused(score(tmp_path, capsys, results() | {"status": "failed"}), 1, text)


TEXTS = "Expected: where, what, got, expected, next, each a text of at most 100000 characters."
BAD_FAILURES = [
    (None, "null"),
    (..., "null"),
    ("it broke", '"it broke"'),
    ({}, "{}"),
    ({"what": "it broke"}, '{"what": "it broke"}'),
    (failure("it broke") | {"got": 5}, json.dumps(failure("it broke") | {"got": 5})),
    (failure("it broke") | {"more": ""}, json.dumps(failure("it broke") | {"more": ""})),
    (failure("x" * 100_001), f"{json.dumps(failure('x' * 200))[:200]}..."),
]


@pytest.mark.parametrize(("broken", "shown"), BAD_FAILURES)
def test_a_failure_that_is_not_told_in_fields(tmp_path, capsys, broken, shown):
    text = f"has no valid failure. Got: {shown}. {TEXTS}{FIND}"
    content = results(status="crashed", failure=broken)
    assert refused(score(tmp_path, capsys, content), 1, f"results.json: {MIDDLE} {text}")
    for status in ("refused", "data_unavailable"):
        content = stopped(status, "") | {"failure": None if broken is ... else broken}
        assert refused(score(tmp_path, capsys, content), 1, f"results.json: the run {text}")


# Formats


AGAIN = " Next: run the policy again with kit.py run; on Codabench, upload the policy again."
OLDER, NEWER = "was written by an older kit", "was written by a newer kit"
OTHER_FORMATS = [
    ({}, OLDER, "no format number"),
    ({"format": 2}, OLDER, "format 2"),
    ({"format": 5}, NEWER, "format 5"),
    ({"format": 10**30}, NEWER, f"format {10**30}"),
    *(
        ({"format": value}, "has no valid format number", f"format {json.dumps(value)}")
        for value in (None, True, 3.0, "3", [3])
    ),
]


@pytest.mark.parametrize(("number", "what", "got"), OTHER_FORMATS)
def test_a_file_of_another_format_names_the_way_to_make_it_again(tmp_path, capsys, number, what, got):
    told, newer = f"{what}. Got: {got}. Expected: format", " Next: use the newer kit."
    content, known = results(), reference()
    del content["format"], known["format"]
    text = f"results.json: {told} 4.{newer if what == NEWER else AGAIN}"
    assert refused(score(tmp_path, capsys, content | number), 1, text)
    text = f"ds_eplb.json: {told} 3.{newer if what == NEWER else REBUILD}"
    assert refused(score(tmp_path, capsys, results(), known | number), 2, text)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        *BAD_ROWS[1:],
        ({"mean_par": 0.99}, f"{MIDDLE} has no valid mean_par. Got: 0.99. {MEAN_PAR}"),
        ({"mean_par": 10**400}, f"{MIDDLE} has no valid mean_par. Got: 1{'0' * 199}.... {MEAN_PAR}"),
        ({"transmit_amount": -1}, f"{MIDDLE} has no valid transmit_amount. Got: -1. {AMOUNT}"),
        ({"transmit_amount": 5.0}, f"{MIDDLE} has no valid transmit_amount. Got: 5.0. {AMOUNT}"),
        ({"transmit_amount": 10**10}, f"{MIDDLE} has no valid transmit_amount. Got: 10000000000. {AMOUNT}"),
        ({"ep": "64"}, 'has a case without a valid ep. Got: "64". Expected: an integer.'),
        ({"status": "fine"}, f'{MIDDLE} has an unknown status. Got: "fine". {CASE_STATUSES}'),
        ({"status": {}}, f"{MIDDLE} has an unknown status. Got: {{}}. {CASE_STATUSES}"),
    ],
)
def test_a_bad_row_of_the_results(tmp_path, capsys, changes, text):
    assert refused(score(tmp_path, capsys, results(**changes)), 1, f"results.json: {text}{FIND}")


def test_other_cases_than_the_references(tmp_path, capsys):
    content = results()
    content["cases"].pop(1)
    text = f"results.json: cases are missing. Got: 2 cases. Expected: also {MIDDLE}.{OTHER}"
    assert refused(score(tmp_path, capsys, content), 2, text)
    foreign = results()["cases"][1] | {"redundant_experts": 128}
    content = results()
    content["cases"].append(foreign)
    name = f"{MIDDLE} +128"
    expected = f"only the 3 cases of the reference.{OTHER}"
    text = f"results.json: cases are not in the reference. Got: {name}. Expected: {expected}"
    assert refused(score(tmp_path, capsys, content), 2, text)


@pytest.mark.parametrize(
    ("field", "value", "got", "expected"),
    [
        ("trace_sha256", "abc", '"abc"', '"DS-R1DS-R1DS-R1DS-R1"'),
        ("window", 64, "64", "128"),
        ("groups", 4, "4", "1"),
        ("latency", 3, "3", "0"),
        ("cost", COST | {"expert_bytes": 88_080_385}, json.dumps(COST).replace("384", "385"), json.dumps(COST)),
    ],
)
def test_measured_otherwise(tmp_path, capsys, field, value, got, expected):
    another = "other" if field == "groups" else "another"
    text = f"{MIDDLE} was measured with {another} {field}. Got: {got}. Expected: {expected}.{OTHER}"
    assert refused(score(tmp_path, capsys, results(**{field: value})), 2, f"results.json: {text}")


def test_another_simulator_than_the_references(tmp_path, capsys):
    known = reference()
    known["cases"][1]["simulator_version"] = "0.9.0"
    text = f'{MIDDLE} was measured with another simulator_version. Got: "1.0.0". Expected: "0.9.0".{OTHER}'
    assert refused(score(tmp_path, capsys, results(), known), 2, f"results.json: {text}")


# The isolation


@pytest.mark.parametrize(
    ("layers", "active"),
    [
        ([], "none"),
        (["limits", "capabilities", "files"], "limits, capabilities, files"),
        (["limits", "capabilities", "tcp", "signals", "calls"], "limits, capabilities, tcp, signals, calls"),
    ],
)
def test_a_policy_that_was_not_isolated_as_the_grid_requires_has_no_score(tmp_path, capsys, layers, active):
    content = results() | {"sandbox": {"mode": "required", "layers": layers}}
    text = (
        f"results.json: the policy was not isolated as the grid requires. Got: active layers {active}. Expected: at "
        "least limits, capabilities, files, calls. Next: nothing for participants to do; organizers use a worker with "
        "a current Linux kernel."
    )
    assert refused(score(tmp_path, capsys, content), 2, text)
    assert score(tmp_path, capsys, content | {"sandbox": {"mode": "best_effort", "layers": layers}}).code == 0


def test_the_required_layers_are_those_of_the_ingestion_program():
    assert (REQUIRED_LAYERS, SANDBOXES) == (sandbox.REQUIRED_LAYERS, grid.SANDBOXES)


@pytest.mark.parametrize(
    "value", [..., None, [], "required", {}, {"mode": "off", "layers": []}, {"mode": "required", "layers": "files"}]
)
def test_results_with_a_score_say_how_the_policy_was_isolated(tmp_path, capsys, value):
    content = {name: v for name, v in (results() | {"sandbox": value}).items() if v is not ...}
    got = json.dumps(None if value is ... else value)
    expected = "mode (one of required, best_effort) and layers (a list of texts)."
    text = f"results.json: has no valid sandbox. Got: {got}. Expected: {expected}{FIND}"
    assert refused(score(tmp_path, capsys, content), 1, text)


# Keys that stand twice


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('"status": "scored"', '"status": "failed", "status": "scored"', "status"),
        ('"mean_par": 1.5', '"mean_par": 9.5, "mean_par": 1.5', "mean_par"),
        ('"expert_bytes": 88080384', '"expert_bytes": 88080384, "expert_bytes": 88080384', "expert_bytes"),
    ],
)
def test_a_key_that_stands_twice_is_refused(tmp_path, capsys, old, new, key):
    twice = json.dumps(results()).replace(old, new, 1)
    text = f'results.json: cannot be read. Got: ValueError: the key "{key}" stands twice. Expected: strict JSON.{FIND}'
    assert refused(score(tmp_path, capsys, twice), 1, text)
    known = json.dumps(reference()).replace(old, new, 1)
    if key != "status":
        text = f'ds_eplb.json: cannot be read. Got: ValueError: the key "{key}" stands twice. Expected: strict JSON.'
        assert refused(score(tmp_path, capsys, results(), known), 2, f"{text}{REBUILD}")


@pytest.mark.parametrize("value", [..., None, 1, ["1.0.0"]])
def test_a_reference_says_which_simulator_measured_it(tmp_path, capsys, value):
    known = reference()
    known["cases"][1]["simulator_version"] = value
    if value is ...:
        del known["cases"][1]["simulator_version"]
    got = json.dumps(None if value is ... else value)
    text = f"ds_eplb.json: {MIDDLE} has no valid simulator_version. Got: {got}. Expected: text.{REBUILD}"
    assert refused(score(tmp_path, capsys, results() | {"versions": {}}, known), 2, text)


def test_columns_that_the_platform_cannot_store(tmp_path, capsys):
    content = results()
    for row in content["cases"]:
        row["transmit_amount"] = 9_000_000_000
    text = (
        "results.json: gives a column that the platform cannot store. Got: transmit_amount = 27000000000 is outside "
        "0 .. 1e10. Expected: finite columns from 0 to below 1e10. Next: find the case with an impossible number."
    )
    assert refused(score(tmp_path, capsys, content), 1, text)


@pytest.mark.parametrize(
    ("cost", "got"),
    [
        ((60.0, 88_080_384, 5e-324), "composite_score = nan is outside 0 .. 1e10"),
        ((3e-302, 1, 1), "intermediate overflow in fsum"),
    ],
)
def test_costs_that_give_no_finite_score(tmp_path, capsys, cost, got):
    content, absurd = results(), reference()
    for row in content["cases"] + absurd["cases"]:
        row["cost"] = dict(zip(COST, cost, strict=True))
    if cost[1] == 1:
        for row in content["cases"]:
            row["transmit_amount"] = 0
    run = score(tmp_path, capsys, content, absurd)
    assert (run.code, run.scores) == (1, None)
    assert f" Got: {got}. Expected: finite columns from 0 to below 1e10." in run.lines[0]


# Hostile results: any type anywhere ends with a text, never with a traceback

HOSTILE = [None, True, -0.5, 10**400, -(10**400), 1e308, 1e999, "", "\ud800$x${y}<", ["ok"], {}]
IGNORED = {"policy_seconds", "failure", "simulator_version"}


@pytest.mark.parametrize(
    ("field", "status"),
    [(field, "ok") for field in sorted(results()["cases"][0])]
    + [(field, "crashed") for field in ("ep", "mean_par", "failure", "policy_seconds")],
)
def test_any_type_in_a_row(tmp_path, capsys, field, status):
    for value in HOSTILE:
        run = score(tmp_path, capsys, results(**{"status": status, field: value}))
        fine = field in IGNORED and status == "ok"
        # What makes it another case, or a case of another grid, is not the submission's fault.
        assert run.code in ((0,) if fine else (1, 2)), value
        assert (run.scores is not None) == fine, value


@pytest.mark.parametrize("field", ["format", "status", "failure", "cases", "versions"])
@pytest.mark.parametrize("status", ["scored", "failed", "refused"])
def test_any_type_at_the_top(tmp_path, capsys, field, status):
    for value in HOSTILE:
        run = score(tmp_path, capsys, results() | {"status": status, field: value})
        fine = status == "scored" and field not in ("format", "status", "cases", "versions")
        assert (run.scores is not None) == (run.code == 0) == fine, value


@pytest.mark.parametrize("field", ["model", "failure", "policy_seconds", "status", "cost"])
def test_nesting_as_deep_as_json_reads_it(tmp_path, capsys, field):
    content = json.dumps(results(**{field: "HERE"}) | {"versions": results()["versions"] | {"x": "HERE"}})
    for depth in (10, *range(850, 1000, 25), 3_000, 30_000):
        run = score(tmp_path, capsys, content.replace('"HERE"', nested(depth)))
        assert run.code in (0, 1)
        assert (run.scores is not None) == (run.code == 0)
        assert run.code or field in IGNORED


def test_every_depth_around_the_one_that_json_refuses(tmp_path, capsys):
    """At one of them the value can be read, but not be shown."""
    for depth in range(880, 1000):
        run = score(tmp_path, capsys, nested(depth))
        assert run.lines[0].startswith("results.json: ") and run.lines[0].endswith(FIND)
        assert run.code == 1


def test_cases_that_a_stopped_run_did_not_begin_are_not_missed(tmp_path, capsys):
    content = failed_results()
    del content["cases"][0]
    run = score(tmp_path, capsys, content)
    assert run.code == 1 and run.scores is None
    assert [line.split("  ")[0] for line in run.lines[1:3]] == list(NAMES[1:])
    assert f"timeout: {NAMES[1]}, call 2: too slow." in run.lines
