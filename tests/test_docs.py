"""Every command in the docs is executed, and every output block compared with what it really prints."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import yaml

from commands.places import GRIDS
from commands.selection import read_grid
from docs import COMMANDS, ROOT, blocks, copy_tree, execute
from dumps import safetensors
from verification.gallery import stated_scores
from verification.steps import STEPS

Ran = Callable[[str], CompletedProcess[str]]
DOCS = [
    "README.md",
    "SECURITY.md",
    "starting_kit/README.md",
    "starting_kit/deployments/engines.md",
    "starting_kit/sweeps/guide.md",
    "docs/keys.md",
    "docs/speed.md",
    "tools/bundling/kit_readme.md",
    "sample_traces/README.md",
    *sorted(f"pages/{p.name}" for p in (ROOT / "pages").glob("*.md")),
]
# CI runs these: the first three make the environment that tests run in, the benchmark is slow.
RUN_BY_CI = {"make run", "make test", "make bundle", ".venv/bin/python tools/benchmark.py --quick"}
BY_CI = {command.removeprefix(".venv/bin/") for command in RUN_BY_CI}
# The organizers' guide has it too, whose commands a test runs in their order.
REHEARSED = {"make rehearse"}
# What these print or write is compared below.
RUN = "python starting_kit/kit.py run"
ONCE = "python starting_kit/kit.py run starting_kit/policies/once"
GENERATE = "python starting_kit/kit.py generate --output sample_traces"
REFERENCE = "python starting_kit/kit.py reference"
CONVERT = (
    "python starting_kit/kit.py convert --from npy counts.npy --output traces --model Mine --dataset chat "
    "--licence CC-BY-4.0"
)
OFFICIAL = (
    "python starting_kit/kit.py generate --output output/official/traces --profile DS-R1/ShareGPT DS-R1/WildChat "
    "DS-R1/LmSys DS-R1/Mix Qwen3/ShareGPT Qwen3/WildChat Qwen3/LmSys --seed 7"
)
EXPORT = (
    "python starting_kit/kit.py export starting_kit/policies/once --case DS-R1/generated:64 --after 1 --to sglang "
    "--layers 3-60 --output output/map.json"
)
PLACED = (
    "python starting_kit/kit.py run --placement output/map.json --case DS-R1/generated:64 --layers 3-60 "
    "--output output/placed"
)
COMPARE = "python starting_kit/kit.py compare starting_kit starting_kit/policies/once"
RUN_OFFICIAL = "python starting_kit/kit.py run --traces output/official/traces"
# These need what another one made.
AFTER = {
    "python starting_kit/kit.py view": RUN,
    "python starting_kit/kit.py run --traces traces": CONVERT,
    PLACED: EXPORT,
    RUN_OFFICIAL: OFFICIAL,
}
# Five seeds take longer, and so do all cases. One seed gives no verdict; the rest is the same. Short traces have as
# many cases as long ones.
SHORTER = {
    COMPARE: "--seeds 1 --iterations 140 --case DS-R1/generated:32",
    OFFICIAL: "--iterations 140",
    RUN_OFFICIAL: "--case Qwen3/LmSys:128",
}
# These are run by test_attacks.py, each with the attacks that its mode may change.
ATTACKS = {"python tests/attacks/runner.py", "python tests/attacks/runner.py --mode platform"}
# A test of its own runs it in an environment of its own.
INSTALLS = {"python -m pip install -r requirements.txt"}
# Where README leaves out lines of what a command prints.
CUT = "...\n"
# These only show a form; what they name is not in the repository.
SHOWN_ONLY = {"zip submission.zip policy.py my_module.py my_table.npy"}


def commands() -> list[str]:
    """All commands of the docs, each once, whichever way they name the environment's Python."""
    lines = [line for document in DOCS for block in blocks(document) for line in block.splitlines()]
    return sorted({re.sub(r"(\.\./)?\.venv/bin/", "", line) for line in lines if COMMANDS.match(line)})


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree, in which commands may write, with counts that somebody recorded."""
    folder = copy_tree(tmp_path_factory.mktemp("docs") / "clone")
    counts = np.random.default_rng(0).integers(1, 9, (64, 4, 8)) * [9, 5, 3, 2, 1, 1, 1, 1]
    np.save(folder / "counts.npy", counts)
    # The same as an engine dumps it.
    (folder / "dumps").mkdir()
    (folder / "dumps" / "meta_info.json").write_text('{"num_experts": 8, "num_experts_per_token": 2}', encoding="utf-8")
    by_pass = {f"{step}_{layer}": row for step, layers in enumerate(counts) for layer, row in enumerate(layers)}
    safetensors(folder / "dumps" / "rank0.safetensors", by_pass)
    return folder


@pytest.fixture(scope="module")
def ran(clone: Path) -> Ran:
    """What became of a command in the copy; each is run once, after what it needs."""

    @cache
    def run(command: str) -> CompletedProcess[str]:
        if command in AFTER:
            run(AFTER[command])
        return execute(f"{command} {SHORTER.get(command, '')}", clone)

    return run


@pytest.mark.parametrize("command", sorted(set(commands()) - BY_CI - SHOWN_ONLY - ATTACKS - REHEARSED - INSTALLS))
def test_a_command_of_the_docs_succeeds(command: str, ran: Ran) -> None:
    done = ran(command)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_that_is_treated_differently_stands_in_the_docs() -> None:
    compared = {RUN, ONCE, GENERATE, REFERENCE}
    special = compared | BY_CI | REHEARSED | set(SHORTER) | set(AFTER) | {CONVERT} | SHOWN_ONLY | ATTACKS | INSTALLS
    assert set(commands()) >= special


def test_traces_of_the_official_grids_shape_have_its_cases(ran: Ran) -> None:
    grid = read_grid(GRIDS["official"])
    cases = "; ".join(
        f"{first.model}/{first.dataset} ep {', '.join(str(case.ep) for case in (first, *others))}"
        for first, *others in grid.by_trace()
    )
    printed = ran(RUN_OFFICIAL).stdout
    assert len(grid.cases) == 25 and f"grid of output/official/traces: {cases}; window " in printed
    assert "[1/1] Qwen3/LmSys ep 128: ok, " in printed


def test_ci_runs_what_no_test_can() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert {*script, *(step.command for step in STEPS if step.ci)} >= RUN_BY_CI


@pytest.mark.parametrize(
    ("command", "name"), [(GENERATE, "sample_traces/manifest.yaml"), (REFERENCE, "reference_data/ds_eplb.json")]
)
def test_making_traces_and_reference_again_changes_no_value(command: str, name: str, ran: Ran, clone: Path) -> None:
    ran(command)
    shipped, made = (yaml.safe_load((folder / name).read_text(encoding="utf-8")) for folder in (ROOT, clone))
    for content in (shipped, made):
        content.pop("versions", None)
    assert made == shipped


@pytest.mark.parametrize("document", ["README.md", "starting_kit/README.md"])
def test_the_guides_show_what_a_sweep_prints(document: str, ran: Ran) -> None:
    # But for the seconds, each line's last number, and the order in which jobs end.
    (shown,) = [block for block in blocks(document) if "replica_gb_per_device" in block]
    (command,) = [line for line in commands() if "kit.py sweep dumps " in line and "champion" in line]
    table, lines = (re.sub(r" +\d+\.\d{4}$", "", text, flags=re.MULTILINE) for text in (shown, ran(command).stdout))
    assert "champion  " in table and set(table.splitlines()) <= set(lines.splitlines())


@pytest.mark.guides
def test_the_sweep_s_guide_has_a_program_that_prints_a_table(clone: Path) -> None:
    (program,) = [block for block in blocks("starting_kit/sweeps/guide.md") if "import sweep" in block]
    (clone / "sweeps.py").write_text(program, encoding="utf-8")
    done = execute("python sweeps.py", clone)
    assert done.returncode == 0 and "case_score" in done.stdout, done.stdout + done.stderr


def test_the_readme_shows_what_make_run_prints(ran: Ran) -> None:
    (shown,) = [block for block in blocks("README.md") if "composite_score: " in block]
    # Progress, in the order in which cases end, is left out.
    printed, at = [line for line in steady(ran(RUN).stdout) if ": ok" not in line], 0
    assert "receipt: " in shown and len(shown.split(CUT)) == 3
    for number, part in enumerate(shown.split(CUT)):
        lines = steady(part)
        # The first part stands at the beginning; what stands between two parts is more than nothing.
        at = printed.index(lines[0], at + 1) if number else 0
        assert printed[at : at + len(lines)] == lines
        at += len(lines)
    assert at == len(printed)


def test_the_readme_s_board_is_the_official_one() -> None:
    board = (ROOT / "docs" / "leaderboard.md").read_text(encoding="utf-8").split("\n## official\n")[1]
    rows = re.findall(r"^(\| [^|]+ \| [\d.]+(?: ± [\d.]+)? \|)", board.split("\n\n")[1], re.MULTILINE)
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## The board\n")[1].split("\n## ")[0]
    shown = [line for line in section.splitlines() if re.search(r"\d \|$", line)]
    # The best policies, in the board's order, and no policy left out among them.
    assert shown[:5] == rows[:5] and set(shown) <= set(rows) and len(shown) == 7


@pytest.mark.parametrize(("row", "command"), [("policy.py", RUN), ("policies/once", ONCE)])
def test_the_gallery_table_shows_the_scores(row: str, command: str, ran: Ran) -> None:
    assert f"composite_score: {stated_scores(ROOT)[row]}" in ran(command).stdout.splitlines()


def test_each_policy_of_the_gallery_says_source_use_and_the_score_of_the_table() -> None:
    rows = {name.removeprefix("policies/"): score for name, score in stated_scores(ROOT).items() if name != "policy.py"}
    texts = {path.parent.name: path.read_text("utf-8") for path in ROOT.glob("starting_kit/policies/*/policy.py")}
    for name, text in texts.items():
        assert all(f"\n{word}: " in text for word in ("Source", "When to use", "Measured")), name
    said = {name: re.search(r"\nMeasured: composite_score ([\d.]+)", text) for name, text in texts.items()}
    assert {name: found and found[1] for name, found in said.items()} == rows


def steady(output: str) -> list[str]:
    """The lines of a run without seconds, versions and the order in which parallel cases ended."""
    lines = [line for line in output.splitlines() if not line.startswith("versions: ")]
    lines = [re.sub(r"^\[\d/7\] ", "", line) for line in lines]
    lines = [re.sub(r"(, policy [\d.]+ s| +[\d.]+|policy s)$", "", line) if " ep " in line else line for line in lines]
    progress = sorted(line for line in lines if ": ok" in line)
    return progress + [line for line in lines if ": ok" not in line]
