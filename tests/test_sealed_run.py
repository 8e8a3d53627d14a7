"""A run on sealed traces: the same results as on plain ones, and the key is gone before any policy starts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from sealing import seal_trace
from submissions import INGESTION, run_program, write_policy, write_world
from traces.plain_trace import PlainTrace

KEY = "0123456789abcdef" * 4
POLICY = """
    import os
    from placement.ds_eplb import ds_eplb
    for name in ("trace.key", "signing.key"):
        print(name, os.path.exists(os.path.join(PROGRAM, "keys", name)))
    def rebalance(hotness, n_device, n_red_expert):
        table = ds_eplb(hotness.sum(axis=0), n_device, n_red_expert)
        return True, list(range(len(table))), table, None
    """


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A world with a program of its own, that has keys, and with the same traces plain and sealed."""
    folder = write_world(tmp_path)
    shutil.copytree(INGESTION.parent, folder / "program", ignore=shutil.ignore_patterns("__pycache__", "keys"))
    for path in sorted(folder.glob("traces/*/*.npy")):
        name = f"{path.parent.name}/{path.stem}"
        sealed = folder / "sealed" / f"{name}.sealed"
        sealed.parent.mkdir(parents=True)
        seal_trace(PlainTrace(path, name), sealed, bytes.fromhex(KEY), name)
    write_policy(folder / "submission", POLICY.replace("PROGRAM", repr(str(folder / "program"))))
    return folder


def run(world: Path, traces: str, **keys: str) -> CompletedProcess[str]:
    """Run the world's program after its keys were put there; none of them may be left."""
    for name, text in keys.items():
        path = world / "program" / "keys" / f"{name}.key"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    options = {"submission": world / "submission", "traces": world / traces, "grid": world / "grid.yaml"}
    arguments = [text for name, path in options.items() for text in (f"--{name}", str(path))]
    done = run_program(world / "program" / "ingestion.py", *arguments, "--output", world / traces / "output")
    assert [path for path in (world / "program").glob("keys/*") if path.name in ("trace.key", "signing.key")] == []
    return done


def cases(world: Path, traces: str) -> list[dict]:
    """The cases of a run without their seconds."""
    content = json.loads((world / traces / "output" / "results.json").read_bytes())
    return [{k: v for k, v in row.items() if not k.endswith("_seconds")} for row in content["cases"]]


def test_sealed_traces_give_the_results_of_the_plain_ones(world: Path) -> None:
    plain, hidden = run(world, "traces"), run(world, "sealed", trace=KEY, signing=KEY[::-1])
    assert (plain.returncode, hidden.returncode, hidden.stderr) == (0, 0, "")
    assert cases(world, "traces") == cases(world, "sealed") and len(cases(world, "sealed")) == 4
    first, second = (np.load(world / traces / "output" / "series.npz") for traces in ("traces", "sealed"))
    assert all(np.array_equal(first[name], second[name]) for name in first.files)
    assert hidden.stdout.count("| trace.key False") == hidden.stdout.count("| signing.key False") == 4


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({}, "trace Small/one: the trace is sealed"),
        ({"trace": KEY[::-1]}, "trace Small/one: the sealed trace cannot be opened"),
        ({"trace": "a key"}, "keys/trace.key has the wrong form"),
        ({"trace": KEY, "signing": "a key"}, "signature: keys/signing.key has the wrong form"),
    ],
)
def test_a_missing_or_wrong_key_is_the_organizer_s_error(world: Path, keys: dict[str, str], text: str) -> None:
    done = run(world, "sealed", **keys)
    assert done.returncode == 2
    assert done.stdout.splitlines()[-1].startswith(f"ingestion: data_unavailable: {text}")
