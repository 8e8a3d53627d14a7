"""What a policy is given, what it may answer, and what it may do like any other Python module."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from placement.deployment import initial_deployment
from placement.evaluation.case_run import Outcome
from placement.isolation.reading import read_class_answer, read_function_answer
from submissions import DECLINES, INGESTION, ITERATIONS, WINDOW, run_policy, sentence_of, stored_hotness, write_policy

HOTNESS = np.maximum(stored_hotness("Small"), 1)
INITIAL = initial_deployment(2, 4, 2)
# A full table, its layer 0 unlike the initial one in two slots, its layer 1 in one.
TABLE = "[[[0, 1, 3], [2, 3, 0]], [[0, 1, 2], [2, 3, 3]]]"
PRINTS = "import json\ndef show(value):\n    print(json.dumps(value))\n"
ITERATIONS_OF_CALLS = [4, 8, 12]


def measured(outcome: Outcome) -> tuple[float, int, int]:
    """mean_par, transmit_amount and calls of a case that must have finished."""
    row = outcome.row
    assert (row["status"], sentence_of(row)) == ("ok", "")
    return row["mean_par"], row["transmit_amount"], row["calls"]


def shown(folder: Path, source: str) -> list:
    """What a policy showed; it must have finished its case."""
    outcome = run_policy(write_policy(folder, source, {"prints.py": PRINTS}))
    measured(outcome)
    return [json.loads(line) for line in outcome.log.splitlines()]


def answering(priority: str, table: str) -> str:
    """The source of a policy in the function form with one answer at every call."""
    head = "import numpy as np\ndef rebalance(hotness, n_device, n_red_expert):\n"
    return f"{head}    return True, {priority}, {table}, None\n"


def windows() -> list:
    """The hotness of each call of a policy that declines."""
    return [HOTNESS[i - WINDOW : i].tolist() for i in ITERATIONS_OF_CALLS]


def test_both_forms_run_and_measure_the_same(tmp_path: Path) -> None:
    in_class = "class Policy:\n def __init__(self, case): pass\n"
    in_class += f" def rebalance(self, h, d, i): return [1, 0], {TABLE}\n"
    function = measured(run_policy(write_policy(tmp_path / "function", answering("[1, 0]", TABLE))))
    assert function == measured(run_policy(write_policy(tmp_path / "class", in_class)))
    assert function[1] == 3


def test_the_function_wins_over_the_class(tmp_path: Path) -> None:
    both = "class Policy:\n    def __init__(self, case):\n        raise ValueError\n    def rebalance(self): pass\n"
    assert measured(run_policy(write_policy(tmp_path, both + answering("[0]", TABLE))))[1] == 2


def test_the_function_is_given_devices_and_redundant_experts(tmp_path: Path) -> None:
    source = "from prints import show\ndef rebalance(hotness, n_device, n_red_expert):\n"
    source += "    show([n_device, n_red_expert])\n    return False, None, None, None\n"
    assert shown(tmp_path, source) == [[2, 2]] * 3


def test_the_class_is_given_the_case_but_not_the_name_of_its_dataset(tmp_path: Path) -> None:
    source = """
    from prints import show
    class Policy:
        def __init__(self, case):
            table = case.initial_deployment
            names = [name for name in dir(case) if not name.startswith("_")]
            show({name: getattr(case, name) for name in names if getattr(case, name) is not table})
            show([str(table.dtype), table.tolist()])
        def rebalance(self, hotness, deployment, iteration): pass
    """
    sizes, table = shown(tmp_path, source)
    expected = {"layers": 2, "experts": 4, "devices": 2, "redundant_experts": 2, "slots": 3}
    expected |= {"window": WINDOW, "iterations": ITERATIONS, "latency": 0}
    expected |= {"balanced_compute_seconds": 60.0, "expert_bytes": 1000, "bandwidth_bytes_per_second": 1e6}
    assert sizes == expected
    assert [type(sizes[name]) for name in expected] == [type(value) for value in expected.values()]
    assert table == ["int64", INITIAL.tolist()]


def test_every_call_is_given_its_own_window_and_iteration(tmp_path: Path) -> None:
    source = """
    from prints import show
    class Policy:
        def __init__(self, case): pass
        def rebalance(self, hotness, deployment, iteration):
            show([iteration, str(hotness.dtype), hotness.flags.writeable, hotness.tolist()])
    """
    calls = zip(ITERATIONS_OF_CALLS, windows(), strict=True)
    assert shown(tmp_path, source) == [[i, "int32", True, window] for i, window in calls]


def test_windows_may_be_kept(tmp_path: Path) -> None:
    source = """
    from prints import show
    kept = []
    def rebalance(hotness, n_device, n_red_expert):
        kept.append(hotness)
        show([window.tolist() for window in kept])
        return False, None, None, None
    """
    assert shown(tmp_path, source) == [windows()[:1], windows()[:2], windows()]


def test_a_window_that_is_written_to_changes_no_other_window_and_no_score(tmp_path: Path) -> None:
    source = """
    from prints import show
    kept = []
    def rebalance(hotness, n_device, n_red_expert):
        show(hotness.tolist())
        hotness[:] = len(kept)
        kept.append(hotness)
        show([int(window.max()) for window in kept])
        return True, [0], TABLE, None
    TABLE = """
    log = shown(tmp_path / "writes", source + TABLE)
    assert log[1::2] == [[0], [0, 1], [0, 1, 2]]
    assert log[2] == HOTNESS[9 - WINDOW : 9].tolist()
    only_answers = run_policy(write_policy(tmp_path / "answers", answering("[0]", TABLE)))
    assert measured(run_policy(tmp_path / "writes")) == measured(only_answers)


def test_the_deployment_is_a_copy_of_the_live_table(tmp_path: Path) -> None:
    source = """
    from prints import show
    class Policy:
        def __init__(self, case): pass
        def rebalance(self, hotness, deployment, iteration):
            show([str(deployment.dtype), deployment.tolist()])
            deployment[:] = 0
            return None if iteration == 4 else ([1], TABLE)
    TABLE = """
    live = INITIAL.copy()
    live[1] = json.loads(TABLE)[1]
    assert shown(tmp_path, source + TABLE) == [["int64", table.tolist()] for table in (INITIAL, INITIAL, live)]


DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", ">i4")


@pytest.mark.parametrize(
    ("priority", "table"),
    [
        *[(f"np.array([1, 0], '{dtype}')", f"np.array({TABLE}, '{dtype}')") for dtype in DTYPES],
        ("(1, 0)", TABLE.replace("[", "(").replace("]", ")")),
        ("range(1, -1, -1)", f"list(np.array({TABLE}))"),
        ("[np.int32(1), np.uint8(0)]", f"np.asfortranarray({TABLE})"),
    ],
)
def test_answers_of_any_integer_type_are_read_alike(priority: str, table: str) -> None:
    answer = eval(f"({priority}, {table})", {"np": np})
    for layers, deployment in (read_class_answer(answer), read_function_answer((True, *answer, None))):
        assert (layers.dtype, deployment.dtype) == (np.int64, np.int64)
        assert (layers.tolist(), deployment.tolist()) == ([1, 0], json.loads(TABLE))


def test_unusual_integers_cross_to_the_simulator(tmp_path: Path) -> None:
    source = answering("range(1, -1, -1)", f"np.asfortranarray(np.array({TABLE}, '>u2'))")
    plain = run_policy(write_policy(tmp_path / "plain", answering("[1, 0]", TABLE)))
    assert measured(run_policy(write_policy(tmp_path / "unusual", source))) == measured(plain)


@pytest.mark.parametrize("change", [True, 1, np.True_, np.array([1]), "no", [0]], ids=repr)
def test_a_true_change_redeploys(change: object) -> None:
    assert read_function_answer((change, [0], json.loads(TABLE), None)) is not None


@pytest.mark.parametrize("change", [False, 0, np.False_, np.array([0]), "", [], None], ids=repr)
def test_after_a_false_change_nothing_else_is_looked_at(change: object) -> None:
    assert read_function_answer((change, object(), "nonsense", None)) is None


@pytest.mark.parametrize("priority", ["[]", "()", "range(0)", "np.array([])", "np.zeros(0, int)"])
def test_an_empty_priority_keeps_the_deployment(priority: str) -> None:
    answer = (True, eval(priority, {"np": np}), "no table", None)
    assert read_function_answer(answer) is None and read_class_answer(answer[1:3]) is None


def test_declining_moves_nothing_and_is_called_again(tmp_path: Path) -> None:
    assert measured(run_policy(write_policy(tmp_path, DECLINES)))[1:] == (0, 3)


def test_a_policy_may_do_at_import_what_any_module_may(tmp_path: Path) -> None:
    source = """
    from __future__ import annotations
    import json
    from dataclasses import dataclass
    from pathlib import Path
    import beside
    from sub import inner
    from sub.deeper.module import DEEP

    @dataclass
    class State:
        seen: list[int] | None = None

    class NotToday(Exception):
        pass

    with open("data.json") as relative_to_the_working_directory:
        FIRST = json.load(relative_to_the_working_directory)
    SECOND = json.loads((Path(__file__).parent / "data.json").read_text())
    STATE = State([])

    def rebalance(hotness, n_device, n_red_expert):
        STATE.seen.append(beside.NUMBER + inner.NUMBER + DEEP + FIRST + SECOND)
        print(json.dumps([STATE.seen, __name__]))
        try:
            raise NotToday
        except NotToday:
            return False, None, None, None
    """
    inner = "from beside import NUMBER as ONE\nNUMBER = 9 * ONE\n"
    files = {"beside.py": "NUMBER = 1\n", "data.json": "1000", "sub/__init__.py": "", "sub/inner.py": inner}
    files["sub/deeper/module.py"] = "DEEP = 90\n"
    outcome = run_policy(write_policy(tmp_path, source, files))
    assert measured(outcome)[2] == 3
    assert [json.loads(line) for line in outcome.log.splitlines()] == [[[2100] * n, "policy"] for n in (1, 2, 3)]


def test_a_module_with_the_name_of_one_of_the_simulator_s_is_the_policy_s_own(tmp_path: Path) -> None:
    names = sorted({path.stem for path in (INGESTION.parent / "placement").rglob("[a-z]*.py")})
    files = {f"{name}.py": f"MINE = '{name}'\n" for name in [*names, "ingestion"]}
    source = "".join(f"import {Path(file).stem}\nprint({Path(file).stem}.MINE)\n" for file in files)
    outcome = run_policy(write_policy(tmp_path, source + DECLINES, files))
    assert outcome.log.splitlines() == [*names, "ingestion"]
    assert {"trace", "grid", "host"} < set(names)


def test_the_planner_of_the_simulator_can_be_imported(tmp_path: Path) -> None:
    source = answering("[0, 1]", "ds_eplb(hotness.sum(axis=0), n_device, n_red_expert)")
    assert measured(run_policy(write_policy(tmp_path, "from placement.ds_eplb import ds_eplb\n" + source)))[1] > 0


def test_what_is_printed_goes_to_the_log_and_not_into_the_answers(tmp_path: Path) -> None:
    prints = 'import os, sys\nprint("import")\nprint("error", file=sys.stderr)\nos.write(1, b"raw\\n")\n' + DECLINES
    outcome = run_policy(write_policy(tmp_path, prints.replace("    return", '    print("call")\n    return')))
    assert measured(outcome)[2] == 3
    assert outcome.log == "import\nerror\nraw\ncall\ncall\ncall"


def test_policy_py_wins_over_a_folder_of_the_same_name(tmp_path: Path) -> None:
    outcome = run_policy(write_policy(tmp_path, "print(__file__[-9:])\n" + DECLINES, {"policy/__init__.py": "1 / 0\n"}))
    assert measured(outcome)[2] == 3 and outcome.log == "policy.py"
