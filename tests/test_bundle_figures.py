"""Rules for what participants read and run at home: figures, tables, the kit's traces; and the trial of the kit."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from bundles import (
    DEVELOPMENT,
    FINAL,
    KIT_ZIP,
    NAME,
    Change,
    all_of,
    changed,
    competition,
    grid_key,
    inner,
    mapping,
    outer,
    sound,
    write_tree,
)
from bundling import trial as trial_module
from bundling.check import SEEN, Rule, check
from bundling.figures import all_slots, digits, grid_rows, phase_row, slot_seconds, spaced
from bundling.parts import Files, kit_files
from bundling.reader import Bundle, Fault
from bundling.rules_figures import GUIDE, STATED, STATED_IN_GUIDE, text_of
from bundling.tree import Tree
from cases import grid_mapping
from commands.archive import archive, unpack
from placement.errors import OrganizerError
from placement.grid import grid_from_mapping


def text_of_page(name: str, old: str, new: str) -> Change:
    """Change the text of a page, which must be there."""

    def change(files: Files) -> None:
        text = files[f"pages/{name}.md"].decode()
        assert old in text
        outer(f"pages/{name}.md", text.replace(old, new, 1).encode())(files)

    return change


def guide(old: str, new: str) -> Change:
    """Change the text of the kit's guide."""

    def change(files: Files) -> None:
        text = unpack(files[KIT_ZIP])[GUIDE].decode()
        assert old in text
        inner(KIT_ZIP, GUIDE, text.replace(old, new, 1).encode())(files)

    return change


SEEDED = [
    (
        "cost",
        text_of_page("evaluation", "= 60.0\n", "= 50.0\n"),
        "states balanced_compute_seconds otherwise than the grid",
    ),
    ("no cost", text_of_page("evaluation", "expert_bytes       ", "bytes_of_an_expert"), "does not state expert_bytes"),
    ("a slot", text_of_page("evaluation", "slot costs 0.0000979", "slot costs 0.0000978"), "the cost of a slot"),
    ("all slots", text_of_page("evaluation", "29 696 slots", "29 697 slots"), "the cost of all slots"),
    ("balance", text_of_page("evaluation", "would cost 60 s", "would cost 61 s"), "the cost of a perfect balance"),
    ("balance", text_of_page("evaluation", "takes 60 seconds", "takes 61 seconds"), "the seconds of a perfect balance"),
    ("limit", text_of_page("evaluation", "`call_seconds` | 10 s", "`call_seconds` | 20 s"), "call_seconds"),
    ("policy's limit", text_of_page("policy", "a call 10 s", "a call 20 s"), "call_seconds"),
    ("policy's memory", text_of_page("policy", "has 4 GiB", "has 8 GiB"), "memory_bytes"),
    (
        "another limit in one phase",
        grid_key(FINAL, "limits", "call_seconds", value=5),
        "does not state call_seconds",
    ),
    (
        "phase's window",
        text_of_page("data", "| Final | final | 128 |", "| Final | final | 64 |"),
        "phase 'Final' is not as its grid says",
    ),
    ("phase", text_of_page("data", "| Final | final", "| Last | final"), "does not say what phase 'Final' runs"),
    ("grid's window", text_of_page("data", "sample, window 128", "sample, window 64"), "the grid sample is another"),
    ("grid's name", text_of_page("data", "| sample, w", "| tiny, w"), "not list the grid sample", "lists a grid that"),
    ("grid's line", text_of_page("data", "| generated | 32, 64, 128 | 3 |", "| chat | 32 | 1 |"), "the grid sample is"),
    (
        "line too many",
        text_of_page(
            "data", "| generated | 32, 64, 128 | 3 |\n", "| generated | 32, 64, 128 | 3 |\n| | `X` | y | 1 | 1 |\n"
        ),
        "the grid sample is another",
    ),
    (
        "line too few",
        text_of_page("data", "| | `Qwen3` | generated | 32, 64, 128 | 3 |\n", ""),
        "the grid sample is another",
    ),
    ("cases", text_of_page("data", "7 in the sample grid", "8 in the sample grid"), "the cases of the grid sample"),
    ("model", text_of_page("data", "| 58 | 256 |", "| 61 | 256 |"), "the sizes of DS-R1 are others"),
    ("no model", text_of_page("data", "| `Qwen3` | the MoE", "| `Qwen` | the MoE"), "does not list the model Qwen3"),
    ("kit's window", text_of_page("data", "window is 128 iterations", "window is 8 iterations"), "the kit's window"),
    ("kit's iterations", text_of_page("data", "512 iterations each", "40 iterations each"), "the length of the kit's"),
    (
        "recorded traces",
        mapping(KIT_ZIP, "sample_traces/manifest.yaml", "traces", "DS-R1/generated", "origin", value="recorded: x"),
        "says that the kit's traces are generated",
    ),
    ("terms' limit", text_of_page("rules", "at most 1500 s", "at most 900 s"), "states grid_seconds otherwise"),
    (
        "terms' grid",
        text_of_page("rules", "on the sample grid", "on the chat grid"),
        "tells of a grid that is not there",
    ),
    ("guide's grid", guide("replays the sample grid", "replays the chat grid"), "tells of a grid that is not there"),
    (
        "submissions",
        competition("phases", 1, "max_submissions_per_day", value=3),
        "states the submissions of phase 'Final' otherwise than competition.yaml",
    ),
    ("no limit", competition("phases", 0, "max_submissions", value=0), "the submissions of phase 'Development'"),
    ("a day's", text_of_page("rules", "| Final | 2 | 10 |", "| Final | 3 | 10 |"), "the submissions of phase 'Final'"),
    ("in all", text_of_page("overview", "10 a day, 300 in", "10 a day, 30 in"), "submissions of phase 'Development'"),
    ("carried over", text_of_page("overview", "first day's two", "first day's three"), "submissions of phase 'Final'"),
    ("guide's cost", guide("seconds = 60 *", "seconds = 50 *"), "balanced_compute_seconds otherwise"),
    ("guide's slot", guide("slots * 0.0000979", "slots * 0.1"), "the cost of a slot"),
    ("guide's worth", guide("613 076 slots", "613 077 slots"), "the worth of mean PAR"),
    ("guide's window", guide("window 128, latency 0", "window 64, latency 0"), "states the window"),
    ("guide's latency", guide("window 128, latency 0", "window 128, latency 3"), "states the latency"),
    ("guide without window", guide("*Sample*, window 128, latency 0", "*Sample*"), "state the window", "the latency"),
    ("guide's case", guide("--case DS-R1/generated:64 --call 2", "--case Mine/chat:4 --call 2"), "states a case"),
    ("guide's scores", guide("moves anything | 68.5176", "moves anything | 70.0000"), "the scores are of another grid"),
    ("kit without trace", inner(KIT_ZIP, "sample_traces/Qwen3/generated.npz", None), "lacks a trace of its grid"),
    (
        "kit's other traces",
        mapping(KIT_ZIP, "reference_data/ds_eplb.json", "cases", 1, "trace_sha256", value="1d"),
        "the reference was made from another trace DS-R1/generated",
    ),
    (
        "phase's other traces",
        mapping("reference_development.zip", "ds_eplb.json", "cases", 6, "trace_sha256", value="1d"),
        "the reference was made from another trace Qwen3/generated",
    ),
    (
        "another grid of the kit's name",
        grid_key(DEVELOPMENT, "limits", "log_bytes", value=1024),
        "its grid sample is not the kit's",
        "does not state log_bytes",
    ),
]


@pytest.mark.parametrize(("change", "messages"), [pytest.param(d[1], d[2:], id=d[0]) for d in SEEDED])
def test_a_seeded_defect_has_its_message(change: Change, messages: tuple[str, ...]) -> None:
    faults = check(changed(change), NAME)
    told = [fault.what for fault in faults]
    assert told and all(any(message in what for message in messages) for what in told), told
    assert all(any(message in what for what in told) for message in messages), told


def test_a_figure_is_told_with_its_line_and_what_to_write() -> None:
    (fault,) = check(changed(text_of_page("evaluation", "= 60.0\n", "= 50.0\n")), NAME)
    assert str(fault) == (
        "pages/evaluation.md, line 51: states balanced_compute_seconds otherwise than the grid. Got: 50.0. Expected: "
        "60.0 (phase 'Development', phase 'Final'). Next: correct the text."
    )


def test_two_phases_with_different_limits_are_stated_in_two_lines() -> None:
    line = "| one call | `call_seconds` | 10 s |"
    change = all_of(
        grid_key(FINAL, "limits", "call_seconds", value=5),
        text_of_page("evaluation", line, f"{line}\n| in the Final | `call_seconds` | 5 s |"),
        text_of_page("policy", "a call 10 s", "a call 10 s (in the Final, a call 5 s)"),
    )
    assert check(changed(change), NAME) == []


def test_a_figure_in_which_phases_differ_is_asked_for_beside_the_other_with_whose_it_is() -> None:
    (fault, *_) = check(changed(grid_key(FINAL, "limits", "call_seconds", value=5)), NAME)
    assert fault.expected == "10 (phase 'Development'), 5 (phase 'Final')"
    lines = sound()[fault.where[0]].decode().splitlines()
    (line,) = (number for number, words in enumerate(lines, 1) if "| `call_seconds` |" in words)
    assert fault.next_step == (
        f"repeat what line {line} says, in the same words, with 5; say in both whose figure it is"
    )


@pytest.mark.parametrize(("line", "figures"), [("key = 60.0  # Final", ["60.0"]), ("key = 6x", []), ("a key = 6", [])])
def test_a_constant_may_have_whose_it_is_behind(line: str, figures: list[str]) -> None:
    pattern = STATED["pages/evaluation.md"][0].pattern.replace("balanced_compute_seconds", "key")
    assert re.findall(pattern, line, re.MULTILINE) == figures


def test_every_figure_is_stated_in_the_texts_that_ship() -> None:
    whole = Bundle(sound(), {"phases": [{"starting_kit": KIT_ZIP}]})
    for name, statements in (*STATED.items(), (GUIDE, STATED_IN_GUIDE)):
        for statement in statements:
            found = re.findall(statement.pattern, text_of(whole, name), re.MULTILINE)
            assert found, (name, statement.what)


@pytest.mark.parametrize("rule", SEEN, ids=lambda rule: rule.__name__)
def test_a_rule_can_look_at_an_empty_bundle(rule: Rule) -> None:
    assert all(isinstance(fault, Fault) for fault in rule(Bundle({}, {})))


def test_figures_are_written_as_the_pages_have_them() -> None:
    grid = grid_from_mapping(
        grid_mapping(
            cost={"balanced_compute_seconds": 60.0, "expert_bytes": 88080384, "bandwidth_bytes_per_second": 9 * 10**11},
            models={"M": {"layers": 100, "experts": 6}, "N": {"layers": 1, "experts": 4}},
            cases=[
                {"model": "M", "dataset": "a", "ep": [2, 3]},
                {"model": "N", "dataset": "a", "ep": [2], "redundant_experts": [0, 2]},
                {"model": "M", "dataset": "b", "ep": [2, 3]},
            ],
        )
    )
    assert (digits(slot_seconds(grid.cost), 3), spaced(1234567.4)) == ("0.0000979", "1 234 567")
    # 100 layers, 3 devices of 3 slots: 900 slots, 0.0881 s.
    assert all_slots(grid) == "900 slots of M at ep 3 costs 0.088 s, as much as 0.0015"
    assert grid_rows(grid) == [
        f"| {grid.name}, window {grid.window} | `M` | a, b | 2, 3 | 4 |",
        "| | `N` | a | 2 +0, 2 | 2 |",
    ]
    assert phase_row("Final", grid) == f"| Final | {grid.name} | {grid.window} | 0 | 6 |"


def test_a_number_of_submissions_is_told_wherever_a_page_has_it() -> None:
    faults = check(changed(competition("phases", 1, "max_submissions_per_day", value=3)), NAME)
    assert [(fault.where[0].partition(",")[0], fault.got, fault.expected) for fault in faults] == [
        ("pages/rules.md", "2", "3"),
        ("pages/overview.md", "2", "3"),
        ("pages/rules.md", "two", "three"),
        ("pages/overview.md", "two", "three"),
    ]


# The kit's traces


def test_a_trace_of_the_kits_grid_that_git_does_not_track_ends_the_build(tmp_path: Path) -> None:
    tree = write_tree(tmp_path)
    (tree / ".gitignore").write_text("sample_traces/Qwen3/\nkeys/\nbuild/\n", encoding="utf-8")
    for words in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", "-C", tree, *words], check=True)
    with pytest.raises(OrganizerError) as told:
        kit_files(Tree(tree))
    assert str(told.value) == (
        "sample_traces/Qwen3/generated.npz is not tracked by git. Got: a file that stays here. Expected: every trace "
        "of ingestion_program/grid.yaml, which is the kit's grid, in the kit. Next: git add "
        "sample_traces/Qwen3/generated.npz, and build again."
    )
    (tree / "sample_traces" / "Qwen3" / "generated.npz").unlink()
    with pytest.raises(OrganizerError, match=r"^sample_traces/Qwen3/generated.npz is missing. Got: no such file, nor"):
        kit_files(Tree(tree))


# The trial


def trial(files: dict[str, bytes]) -> list[str]:
    """What a trial of a kit with these programs for its own finds."""
    kit = {"ingestion_program/grid.yaml": yaml.safe_dump(grid_mapping()).encode(), **files}
    whole = Bundle({"kit.zip": archive(kit)}, {"phases": [{"starting_kit": "kit.zip"}]})
    return [str(fault) for fault in trial_module.trial(whole)]


def test_the_trial_checks_the_template_and_runs_the_smallest_case_in_the_kits_folder(tmp_path: Path) -> None:
    kit = f"import os, sys\nopen({str(tmp_path / 'told')!r}, 'a').write(f'{{sys.argv[1:]}} {{os.listdir()}}\\n')\n"
    assert trial({"starting_kit/kit.py": kit.encode()}) == []
    lines = (tmp_path / "told").read_text().splitlines()
    case = grid_from_mapping(grid_mapping()).cases[0]
    wanted = ["check"], ["run", "--case", f"{case.model}/{case.dataset}:{case.ep}"]
    assert [line.partition("] ")[0] + "]" for line in lines] == [str(words) for words in wanted]
    assert all("starting_kit" in line and "ingestion_program" in line for line in lines)


def test_a_kit_that_fails_is_a_fault_with_what_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    kit = b"import sys\nif sys.argv[1] == 'check': sys.exit('not accepted: no policy.')\n"
    assert trial({"starting_kit/kit.py": kit}) == [
        "starting kit: kit.py check fails. Got: exit code 1: not accepted: no policy. Expected: the template is "
        "accepted, and a case of the grid runs. Next: unzip starting_kit.zip of the bundle into an empty folder, and "
        "run python starting_kit/kit.py check there."
    ]
    monkeypatch.setattr(trial_module, "PATIENCE", 0)
    assert "Got: no end within 0 seconds. " in trial({"starting_kit/kit.py": b""})[0]
