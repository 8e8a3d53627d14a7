"""Whether the documents know the tree: every path that they name exists, and rooms, words and paths are said once."""

from __future__ import annotations

import re

import pytest

from docs import ROOT

MADE = {".venv", "build", "dist", "keys", "output"}
# What is gone may be named where it is said that it is gone.
HISTORY = "CHANGELOG.md"
FOLDERS = [path for path in ROOT.iterdir() if path.is_dir() and path.name not in MADE and not path.name.startswith(".")]
TEXTS = [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in folder.rglob("*.md"))]
DOCUMENTS = sorted(path.relative_to(ROOT).as_posix() for path in TEXTS if ".egg-info" not in path.as_posix())
# These name modules in words of their own, too.
CONFIGURATION = ["Makefile", "kit.mk", "pyproject.toml", "competition.yaml", ".ci/run", "tools/phases.yaml"]
# A document may leave out the way to what it is about.
NEAR = [ROOT / place for place in ("", "ingestion_program", "ingestion_program/placement", "scoring_program")]
NEAR += [ROOT / "starting_kit"]
# Files of a participant's, and Python's own.
OTHERS = {"balancer.py", "my_module.py", "my_policy/policy.py", "types.py", "copy.py"}
ROOMS = (
    *("ingestion_program", "scoring_program", "scoring_program/scores", "scoring_program/scores/page"),
    *(f"ingestion_program/placement/{room}" for room in ("", "isolation", "traces", "submission", "evaluation")),
    *(f"starting_kit/{room}" for room in ("commands", "deployments", "sweeps", "viewer", "traces", "planning")),
    *(f"starting_kit/traces/{room}" for room in ("generation", "composition", "calibration", "statistics")),
    *(f"starting_kit/lab/{room}" for room in ("experiments", "imbalance", "planning", "search", "serving", "traces")),
    *("tools", "tests"),
    *(f"tools/{room}" for room in ("bundling", "rehearsal", "benchmarking", "judging", "rescoring", "verification")),
)
WORDS = re.compile(r"^\| here \|.*\n(?:\|.*\n)+", re.MULTILINE)
PATH_SECTION = "## The only places that touch `sys.path`"


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def prose(text: str) -> str:
    """A text without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def exists(name: str, document: str) -> bool:
    """Whether a file or folder, or what a pattern stands for, is in the tree, seen from a document or from NEAR."""
    return any(next(place.glob(name.rstrip("/")), None) for place in [(ROOT / document).parent, *NEAR])


def paths_in(text: str) -> set[str]:
    """Names of Python modules, and names in backticks that begin with a folder of the tree."""
    modules = set(re.findall(r"(?<![\w/.*-])[\w.*-]+(?:/[\w.*-]+)*\.py\b", text))
    ticked = {name: name.split("/")[0] for name in re.findall(r"`([\w.-]+/[\w./*-]*)`", prose(text))}
    folders = {name for name, first in ticked.items() if first not in MADE and any((n / first).is_dir() for n in NEAR)}
    return (modules | folders) - OTHERS


def links_in(text: str) -> list[str]:
    targets = re.findall(r"\]\(([^)#\s]+)", text)
    return [target for target in targets if not target.startswith(("http://", "https://", "mailto:"))]


@pytest.mark.parametrize("document", sorted({*DOCUMENTS, *CONFIGURATION} - {HISTORY}))
def test_every_path_that_a_document_names_exists(document: str) -> None:
    missing = {name for name in paths_in(text_of(document)) if not exists(name, document)}
    # A module may be named without its folder.
    assert missing - {path.name for folder in FOLDERS for path in folder.rglob("*.py")} == set()


def test_paths_are_found_in_a_document() -> None:
    text = "`tools/gone.py`, tools/also_gone.py, `pages/`, `output/x`, `case/name`,\n```\npython tools/third.py\n```\n"
    assert paths_in(text) == {"tools/gone.py", "tools/also_gone.py", "pages/", "tools/third.py"}
    assert exists("pages/", "README.md") and not exists("tools/gone.py", "README.md")
    assert exists("isolation/*.py", "README.md") and exists("timing.py", "starting_kit/traces/generation/README.md")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_of_a_document_leads_somewhere(document: str) -> None:
    folder = (ROOT / document).parent
    assert [target for target in links_in(text_of(document)) if not (folder / target).exists()] == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_in_few_lines_what_comes_in_and_goes_out(room: str) -> None:
    text = text_of(f"{room}/README.md")
    assert len(text.splitlines()) <= 15
    assert room == "tests" or ("\nIn: " in text and re.search(r"\bOut: ", text))


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_names_each_of_its_modules(room: str) -> None:
    text = text_of(f"{room}/README.md")
    modules = {path.stem for path in (ROOT / room).glob("*.py")} - {"__init__"}
    if room == "tests":
        modules = {name for name in modules if not name.startswith("test_")}
    assert {name for name in modules if not re.search(rf"`(?:[^`]*/)?{name}(?:\.py)?`", text)} == set()


@pytest.mark.parametrize("document", [*DOCUMENTS, "starting_kit/tutorial.ipynb"])
def test_par_is_spelled_out_where_it_first_stands(document: str) -> None:
    text = " ".join(text_of(document).split())
    if first := re.search(r"\bPAR\b", text):
        assert "peak-to-average" in text[max(0, first.start() - 40) : first.end() + 40]


def test_one_table_translates_the_words_of_other_engines() -> None:
    pages = [WORDS.findall(text_of(document)) for document in ("pages/evaluation.md", "starting_kit/README.md")]
    assert len(pages[0]) == 1 and pages[0] == pages[1]


def test_only_the_places_that_the_architecture_names_touch_the_path() -> None:
    section = text_of("ARCHITECTURE.md").split(PATH_SECTION)[1].split("\n## ")[0]
    named = {path for name in re.findall(r"`([\w./*]+\.py)`", section) for path in ROOT.glob(name)}
    modules = [path for folder in FOLDERS for path in folder.rglob("*.py")]
    touching = {path for path in modules if re.search(r"\bsys\.path", path.read_text(encoding="utf-8"))}
    assert touching <= named
    assert {path for path in named - touching if not path.match("tests/test_*.py")} == set()


def test_the_architecture_is_short() -> None:
    assert len(text_of("ARCHITECTURE.md").splitlines()) <= 130
