"""The page on scale: its commands run, up to 512 experts on 1024 devices, and it is short."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

import benchmark
import kit
from docs import ROOT, blocks
from test_docs_tree import prose

PAGE = "docs/scale.md"
BENCHMARK = ["python", "tools/benchmark.py", "--markdown", "docs/benchmark.json"]


def commands() -> list[list[str]]:
    """The words of each command of the page, with any Python."""
    lines = [line for block in blocks(PAGE) for line in block.splitlines()]
    return [shlex.split(line.removeprefix(".venv/bin/")) for line in lines]


def test_the_pages_case_runs_from_its_trace_to_its_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("docs", "starting_kit"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    scores = []
    for python, program, *words in [words for words in commands() if words != BENCHMARK]:
        assert (python, program) == ("python", "starting_kit/kit.py")
        # One call is enough.
        assert kit.main([*words, *(["--iterations", "131"] if words[0] == "generate" else [])]) == 0
        printed = capfd.readouterr().out.splitlines()
        if words[0] == "run":
            assert printed[-1].startswith("composite_score: ")
            scores.append(float(printed[-1].split()[1]))
            (case,) = json.loads(Path("output/wide/prediction/results.json").read_text(encoding="utf-8"))["cases"]
            assert (case["ep"], case["redundant_experts"], case["status"]) == (1024, 512, "ok")
    # DS-EPLB, and the template, which moves nothing and so pays nothing.
    assert scores[0] == 100 < scores[1]


def test_the_pages_other_command_writes_the_tables_without_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    assert BENCHMARK in commands()
    seen = []
    monkeypatch.setattr(benchmark, "write_documents", lambda content: seen.append(content) or 0)
    assert benchmark.main(["--markdown", str(ROOT / BENCHMARK[-1])]) == 0
    assert seen == [(ROOT / BENCHMARK[-1]).read_bytes()]


def test_the_page_is_short() -> None:
    prose_alone = re.sub(r"^(?:\||<!--).*$", "", prose((ROOT / PAGE).read_text(encoding="utf-8")), flags=re.MULTILINE)
    assert len(prose_alone.split()) < 900
