"""The exactly rounded sum equals math.fsum, on its quick way and beside it."""

import math

import numpy as np
import pytest

from placement.exact_sum import BOUND, LEAST, exact_sum

BELOW_ONE, BELOW_BOUND = np.nextafter(1.0, 0.0), np.nextafter(BOUND, 0.0)


@pytest.mark.parametrize("seed", range(5))
def test_random_values_add_up_as_fsum_says(seed):
    values = np.random.default_rng(seed).uniform(LEAST, [1.1, 4.0, BOUND], (997, 3))
    assert exact_sum(values) == math.fsum(values.ravel().tolist())


@pytest.mark.parametrize(
    "values",
    [
        [],
        [LEAST, BELOW_ONE, 1.0, BELOW_BOUND],
        [BELOW_BOUND] * 4097,
        [1.0, BELOW_ONE] * 3,
        # Ties: 2^53 and halves of its last digit, to even downwards and upwards.
        [256.0] * 2**17 + [1.0 + 2**-27, 0.5 + 2**-28],
        [BOUND, 1e-300, -BOUND],
        [0.1] * 10,
        [1e300, 1.0, -1e300],
    ],
)
def test_extreme_values_add_up_as_fsum_says(values):
    assert exact_sum(np.array(values)) == math.fsum(values)


def test_a_value_that_is_no_number_stays_one():
    assert math.isnan(exact_sum(np.array([1.0, math.nan])))
