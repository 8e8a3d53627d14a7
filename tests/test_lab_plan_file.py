"""What a plan's file must hold: refused with file and layer where it is not right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lab.planning.plan_check import check_plan
from placement.errors import Problem

# Two layers, two devices with two slots, three experts.
TABLE = np.array([[[0, 1], [2, 0]], [[2, -1], [1, 0]]])
ORDER = np.array([[[0, 1], [2, 3]], [[3, 0], [1, 0]]])
PLAN = {"plan": TABLE, "order": ORDER, "layers": np.array([3, 5]), "experts": np.array(3), "shared": np.array(False)}
PLAN |= {"rows": np.array(2), "cols": np.array(1)}


def changed(values: np.ndarray, place: tuple[int, ...], value: float) -> np.ndarray:
    result = values.astype(float) if isinstance(value, float) else values.copy()
    result[place] = value
    return result


WRONG = [
    ({"plan": TABLE.astype(float)}, "plan holds no integers. Got: dtype float64. Expected: integers."),
    ({"plan": changed(TABLE, (0, 0, 0), float("nan"))}, "plan holds no integers. Got: dtype float64"),
    ({"plan": TABLE.astype(str)}, "plan holds no integers. Got: dtype <U"),
    ({"plan": TABLE > 0}, "plan holds no integers. Got: dtype bool"),
    (
        {"plan": changed(TABLE, (1, 0, 1), 3)},
        "layer 5: a slot holds no expert. Got: 3 on device 0, slot 1 .* 0 .. 2, or",
    ),
    (
        {"plan": changed(TABLE, (0, 1, 0), 1)},
        "layer 3: an expert has no slot. Got: none for expert 2. Expected: a slot f",
    ),
    ({"rows": np.array(3)}, r"plan does not fit. Got: shape \[2, 2, 2\]. Expected: \[2 layers, 3 devices, slot\]"),
    ({"cols": np.array(2.0)}, "cols is no number. Got: float64 2.0. Expected: one integer from 1"),
    ({"experts": np.array([3])}, r"experts is no number. Got: int64 \[3\]"),
    ({"experts": np.array(True)}, "experts is no number. Got: bool True"),
    ({"shared": np.array(2)}, "shared is no truth value. Got: int64 2. Expected: true or false"),
    (
        {"shared": np.array(True)},
        "layer 3: an expert has no slot. Got: none for expert 3. Expected: a slot for each of 4",
    ),
    ({"layers": np.array([3, 3])}, "a layer is there twice"),
    ({"layers": np.array([3.0, 5.0])}, "layers has the wrong form"),
    ({"layers": np.array([3])}, r"plan does not fit. Got: shape \[2, 2, 2\]. Expected: \[1 layers, 2 devices, slot\]"),
    (
        {"order": changed(ORDER, (0, 0, 1), 0)},
        "layer 3: a rank of order is there twice. Got: rank 0 twice. Expected: 0",
    ),
    (
        {"order": changed(ORDER, (1, 0, 0), 4)},
        r"layer 5: a rank of order is out of range. Got: 0 \.\. 4. Expected: 0 \.\. 3",
    ),
    ({"order": ORDER[:, :, :1]}, r"order does not fit. Got: shape \[2, 2, 1\]. Expected: that of plan, \[2, 2, 2\]"),
    ({"order": ORDER[:1]}, r"order does not fit. Got: shape \[1, 2, 2\]"),
    ({"order": ORDER / 2}, "order holds no integers. Got: dtype float64"),
]


def test_a_plan_that_is_right_is_taken() -> None:
    check_plan(PLAN, Path("plan.npz"))
    check_plan(PLAN | {"experts": np.array(2), "shared": np.array(True)}, Path("plan.npz"))


@pytest.mark.parametrize(("changes", "words"), WRONG)
def test_a_plan_that_is_not_right_is_refused_by_name(changes: dict, words: str) -> None:
    with pytest.raises(Problem, match=f"plan.npz(, )?(: )?{words}") as refused:
        check_plan(PLAN | changes, Path("plan.npz"))
    assert str(refused.value).endswith("Next: write the plan again, with `python -m lab plan` or `search`.")
