"""Every command of the lab's catalogue, in a small form, and every item in it once."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lab.commands.main import command_line, main
from lab.experiments import oracle_row
from submissions import ROOT

LAB = ROOT / "starting_kit" / "lab"
PAGE = (LAB / "catalogue.md").read_text(encoding="utf-8")
ITEMS = [
    *(f"B{number}" for number in range(1, 11)),
    *(f"I{number}" for number in range(1, 4)),
    *(f"row {number}" for number in range(1, 5)),
    *(f"R{number}" for number in range(1, 28)),
]
# Words of a command that make a form of it large: what stands in their place.
SMALL = {"--tokens": "400", "--batch": "100", "--swaps": "50", "--check": "10", "--layers": "2", "--batches": "4"}
# What commands take beside, to be small.
MORE = {
    "generate": {"--experts": "32", "--top-k": "4"},
    "search": {"--swaps": "50"},
    "matrix": {"--swaps": "50"},
    "online": {"--batch": "20"},
    "oracle": {"--nodes": "200"},
    "distil": {"--cases": "2", "--unseen": "2", "--draws": "3", "--batch": "100"},
}
# Grids of 384 slots, on which 32 experts need fewer.
SMALL_SLOTS = {"12": "2", "6": "2"}
# Shown to be refused; and what an environment without the extra `lab` refuses.
REFUSED, EXTRA = re.compile(r"--row-cap 1( |$)"), "cp-sat"


def lines() -> list[tuple[str, str, str]]:
    """Item, commands and measured figure of each line of the table."""
    rows = (re.split(r" \| ", row.strip("| ")) for row in re.findall(r"^\| .* \|$", PAGE, re.MULTILINE))
    return [(row[0], row[2], row[3]) for row in rows if row[0] in ITEMS]


def commands() -> list[str]:
    """What makes the traces, then the commands of the table, each once."""
    (block,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    first = [line.removeprefix("lab ") for line in block.splitlines() if line.startswith("lab ")]
    named = [command for _, cell, _ in lines() for command in re.findall(r"`([^`]+)`", cell)]
    return list(dict.fromkeys(first + named))


def small(command: str) -> list[str]:
    """The command's words with smaller numbers."""
    words = shlex.split(command)
    for at, word in enumerate(words[:-1]):
        if word in SMALL:
            words[at + 1] = SMALL[word]
        elif word == "--slots":
            words[at + 1] = SMALL_SLOTS.get(words[at + 1], words[at + 1])
    more = {} if "--model" in words else MORE.get(words[0], {})
    for word in [word for word in more if word not in words]:
        words += [word, more[word]]
    return words


def test_every_item_stands_in_the_table_once_with_a_command_and_a_figure() -> None:
    assert Counter(item for item, *_ in lines()) == dict.fromkeys(ITEMS, 1)
    assert all("`" in cell and re.search(r"\d", figure) for _, cell, figure in lines())


@pytest.mark.guides
def test_every_command_of_the_table_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # The matrix's fourth row has no words for its size.
    monkeypatch.setattr(oracle_row, "EXPERTS", 5)
    monkeypatch.setattr(oracle_row, "SWAPS", 200)
    rng = np.random.default_rng(0)
    chosen = np.argsort(rng.random((4, 100, 32)), axis=2)[:, :, :4]
    np.savez("routing_q.npz", topk_experts=chosen, origin_rows=rng.integers(2, size=(4, 100)))
    np.savez("recorded.npz", topk=chosen.reshape(200, 2, 4).astype(np.uint8), length=np.array([120, 80]))
    Path("eplb.json").write_text(json.dumps({"logical_count": rng.integers(1, 200, (2, 12)).tolist()}))
    for command in commands():
        words = small(command.replace("routing_q.npz --experts 256", "routing_q.npz --experts 32"))
        code = main(words)
        printed = capsys.readouterr().out
        missing = EXTRA in words and "python -m pip install ortools" in printed
        assert code == bool(REFUSED.search(command) or missing), f"{shlex.join(words)}\n{printed}"


@pytest.mark.parametrize("page", ["README.md", "measured.md"])
def test_every_command_that_a_page_names_in_its_text_is_understood(page: str) -> None:
    parser, known = command_line()
    text = re.sub(r"^```.*?^```", "", (LAB / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    # A command with what it works on, its options after it; a lone word, and an option of several forms, are none.
    named = [shlex.split(words.replace("\n", " ")) for words in re.findall(r"`([^`]+)`", text) if "|" not in words]
    named = [words for words in named if words[0] in known.choices and len(words) > 1 and words[1][0] != "-"]
    assert len(named) >= {"README.md": 2, "measured.md": 15}[page]
    for words in named:
        output = ["--output", "x"] if words[0] in ("generate", "plan", "search", "import") else []
        assert parser.parse_args([*words, *output]).command == words[0]
