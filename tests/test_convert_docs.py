"""Every command of starting_kit/traces/conversion/ is executed, in its order, on small dumps of each form."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml

import dumps
import kit
from commands.dump_forms import FORMATS

ROOT = Path(__file__).resolve().parent.parent
README, ENGINES = (ROOT / "starting_kit" / "traces" / "conversion" / name for name in ("README.md", "engines.md"))
COUNTS = np.random.default_rng(10).integers(1, 50, (6, 2, 8)).astype(np.int32)
# What each command makes, in the README's order.
MADE = ["DS-R1/chat", "DS-R1/full", "DS-R1/unlimited", "DS-R1/passes", "DS-R1/cut"]
MADE += ["Qwen3/chat", "Qwen3/ids", "DS-R1/load", "DS-R1/last", "DS-R1/adrs", "Qwen3/array", "Qwen3/counters"]
FURTHER = ["trtllm", "ascend", "mindie/decode", "omni", "megatron", "atom", "steps"]


def commands(page: Path = README) -> list[str]:
    """The commands that convert, but those of the section whose three commands test_convert_guess.py runs."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks if " run " not in block for line in block.splitlines()]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the dumps that the README's commands name."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("stat", "per_pass", "cut"):
        (folder / "dumps" / name).mkdir(parents=True)
    (folder / "requests").mkdir()
    (folder / "ids_only").mkdir()
    padded = np.concatenate([COUNTS, COUNTS[:1] * 0])
    np.savez(folder / "dumps" / "stat" / "expert_distribution_recorder_1.5.npz", logical_count=padded)
    np.savez(folder / "dumps" / "full.npz", logical_count=COUNTS)
    for rank in range(2):
        for name, passes in (("per_pass", 6), ("cut", 5 + rank)):
            columns = {"forward_pass_id": np.arange(passes), "rank": rank, "global_physical_count": COUNTS[:passes]}
            path = folder / "dumps" / name / f"expert_distribution_recorder_1.5_{rank}.npz"
            np.savez(path, last_physical_to_logical_map=np.tile(np.arange(8), (2, 1)), **columns)
    ids = np.tile(np.array([[1, 2], [3, 4]], np.int16), (7, 1, 1))
    for index in range(3):
        np.savez(folder / "requests" / f"request_{index}.npz", routed_experts=ids, prompt_len=4)
        np.save(folder / "ids_only" / f"request_{index}.npy", ids)
    history = {"load_history": [{"logical_expert_load": step.tolist()} for step in COUNTS]}
    (folder / "expert-load.json").write_text(json.dumps(history), encoding="utf-8")
    np.save(folder / "counts.npy", COUNTS.transpose(1, 0, 2))
    np.save(folder / "counters.npy", 2 * np.tile(COUNTS, (2, 1, 1)).cumsum(axis=0))
    dumps.write("vllm-load", folder / "expert-load")
    return folder


def test_every_command_of_the_readme_runs(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world)
    lines = commands()
    assert len(lines) == len(MADE) + 1  # one replaces the one before
    for line in lines:
        program, *words = shlex.split(line)[1:]
        assert (program, words[0]) == ("starting_kit/kit.py", "convert")
        assert kit.main(words) == 0, line
    listed = yaml.safe_load((world / "traces" / "manifest.yaml").read_text(encoding="utf-8"))["traces"]
    assert list(listed) == MADE
    assert kit.main(["verify", "--traces", "traces"]) == 0


def test_every_command_of_the_further_engines_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = commands(ENGINES)
    assert len(lines) == len(FURTHER) + 1
    for name in FURTHER:
        dumps.write({"ascend": "vllm-ascend"}.get(name, name.split("/")[0]), tmp_path / "dumps" / name)
    dumps.write("csv", tmp_path / "table")
    (tmp_path / "table" / "counts.csv").rename(tmp_path / "counts.csv")
    for line in lines:
        program, *words = shlex.split(line)[1:]
        assert (program, words[0]) == ("starting_kit/kit.py", "convert")
        assert kit.main(words) == 0, line
        name = f"{words[words.index('--model') + 1]}/{words[words.index('--dataset') + 1]}"
        assert np.array_equal(np.load(tmp_path / "traces" / f"{name}.npy"), dumps.COUNTS), line


@pytest.mark.parametrize("form", FORMATS)
def test_each_form_has_a_row_a_section_and_a_command(form: str) -> None:
    page = README if f"\n## {form}: " in README.read_text(encoding="utf-8") else ENGINES
    assert f"\n## {form}: " in page.read_text(encoding="utf-8")
    assert any(f"--from {form} " in line for line in commands(page))
    assert f"`{form}`" in README.read_text(encoding="utf-8").split("\n## Which form")[1].split("\n## ")[0]
