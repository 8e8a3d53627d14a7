"""Lab tables as policies."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import kit
from lab.experiments.export import filled, write_policy
from lab.planning.even import even_table
from lab.serving.measures import even_par
from lab.serving.torus import Torus
from lab.traces.generators import Sample, zipf
from lab.traces.hotness import hotness_of, write_hotness
from submissions import ROOT

GRID = """name: lab
window: 4
latency: 0
sandbox: best_effort
cost: {balanced_compute_seconds: 60.0, expert_bytes: 88080384, bandwidth_bytes_per_second: 900000000000}
limits:
  {start_seconds: 900, call_seconds: 900, case_seconds: 900, grid_seconds: 900, memory_bytes: 4294967296,
   trace_memory_bytes: 4294967296, log_bytes: 65536}
models:
  M: {layers: 2, experts: 32}
cases:
  - {model: M, dataset: zipf, ep: [8], redundant_experts: 16}
"""


def test_devices_are_renamed_so_that_few_slots_move(tmp_path: Path) -> None:
    # The initial deployment is [[0, 1, 1], [2, 3, 3]].
    write_policy(tmp_path, [np.array([[3, 2, 0], [0, 1, 2]])], 4)
    assert np.load(tmp_path / "plan.npy").tolist() == [[[0, 1, 2], [2, 3, 0]]]


def test_empty_slots_and_those_of_the_shared_expert_get_replicas_of_the_hottest() -> None:
    # Four routed experts, the shared one is 4: four slots are left, and expert 1 is by far the hottest.
    table = np.array([[[0, 4], [1, -1], [2, -1], [3, -1]]])
    load = np.array([[5.0, 60.0, 4.0, 2.0]])
    result = filled(table, load)
    assert (result[0, :, 0] == [0, 1, 2, 3]).all() and sorted(result[0, :, 1]) == [0, 1, 1, 1]
    assert result[0, 1, 1] == 0
    full = np.array([[[0, 1], [2, 3]]])
    assert np.array_equal(filled(full, load), full)


def test_par_is_that_of_tokens_spread_evenly() -> None:
    # Expert 1 has two replicas: devices get 2 + 2 and 2 + 6 of 12. Without load they get 1 + 0.5 each.
    table = np.array([[0, 1], [1, 2]])
    assert even_par(table, np.array([[2.0, 4.0, 6.0], [0.0, 0.0, 0.0]])).tolist() == [8 / 6, 1]
    # An empty slot serves nothing.
    assert even_par(np.array([[0, 1], [0, -1]]), np.array([[4, 3]])).tolist() == [5 / 3.5]


def test_a_policy_says_which_case_its_plan_is_for_and_keeps_other_ones_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = runpy.run_path(str(write_policy(tmp_path, [np.array([[3, 2, 0], [0, 1, 2]])], 4)))["Policy"]
    fits = policy(SimpleNamespace(layers=1, devices=2, slots=3, experts=4))
    assert fits.rebalance(np.ones((1, 1, 4)), None, 0) is not None and capsys.readouterr().out == ""
    other = policy(SimpleNamespace(layers=2, devices=2, slots=3, experts=5))
    assert other.rebalance(np.ones((1, 2, 5)), None, 0) is None
    assert capsys.readouterr().out == (
        "plan: 1 layers, 2 devices, 3 slots, 4 experts; this case: 2 layers, 2 devices, 3 slots, 5 experts; "
        "the initial deployment stays\n"
    )


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (np.zeros((4, 3), int), r"layer 0: the table has experts outside 0 .. 7, or none of \[1, 2, 3, 4, 5, 6, 7\]"),
        (np.arange(12).reshape(4, 3), "layer 0: the table has experts outside 0 .. 7"),
        (np.arange(4).reshape(4, 1), r"layer 0: .* or none of \[4, 5, 6, 7\]"),
    ],
)
def test_a_table_without_a_case_is_refused(tmp_path: Path, table: np.ndarray, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        write_policy(tmp_path / "policy", [table], 8)
    assert not (tmp_path / "policy").exists()


def test_an_exported_plan_beats_static_on_hotness_counted_from_its_trace(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trace = zipf(Sample(tokens=1920, experts=32, k=4, layers=2, seed=5))
    hotness = hotness_of(trace, 64)
    write_hotness(tmp_path / "traces", "M/zipf", hotness)
    (tmp_path / "grid.yaml").write_text(GRID, encoding="utf-8")
    torus = Torus(4, 2)
    tables = [even_table(hotness[:, layer], torus, slots_per_device=6, shared=False) for layer in (0, 1)]
    write_policy(tmp_path / "exported", tables, 32)

    def last_line(*arguments: object) -> str:
        assert kit.main(list(map(str, arguments))) == 0
        return capfd.readouterr().out.splitlines()[-1]

    def composite(policy: Path) -> float:
        return float(last_line("run", policy, *rest).removeprefix("composite_score: "))

    world = ("--grid", tmp_path / "grid.yaml", "--traces", tmp_path / "traces")
    rest = (*world, "--reference", tmp_path / "reference", "--output", tmp_path / "output")
    last_line("reference", *world, "--output", tmp_path / "reference")
    static = composite(ROOT / "starting_kit" / "policies" / "static")
    assert composite(tmp_path / "exported") > static + 5
