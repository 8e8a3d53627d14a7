"""The imbalance model in closed form: published figures as exact fractions, floors, refusals and equality."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest

from lab.imbalance.closed_form import Block, ExpertImbalance, bisection_bandwidth, torus_dims
from lab.imbalance.presets import CHIP, MODELS, Chip, decode_ns, layer_time, prefill_ns
from placement.balance import par

V2, V3 = MODELS["deepseek-v2"], MODELS["deepseek-v3"]
NOTHING = Block(0, 0)


@pytest.mark.parametrize(
    ("devices", "skew"),
    [(1, (1, 1)), (2, (554, 477)), (4, (236, 159)), (8, (1016, 477)), (16, (544, 159))],
)
def test_the_published_skews_of_deepseek_v2(devices, skew):
    assert V2.imbalance(devices).skew == Fraction(*skew)


def test_the_regression_figures_are_those_of_deepseek_v2():
    assert [round(float(V2.imbalance(devices).skew), 2) for devices in (2, 4)] == [1.16, 1.48]


@pytest.mark.parametrize(
    ("devices", "skew", "rounded"),
    [
        (2, (286, 255), 1.1216),
        (4, (116, 85), 1.3647),
        (8, (472, 255), 1.8510),
        (16, (48, 17), 2.8235),
        (32, (1216, 255), 4.7686),
        (64, (736, 85), 8.6588),
        (128, (4192, 255), 16.4392),
        (256, (32, 1), 32.0),
    ],
)
def test_the_published_skews_of_deepseek_v3(devices, skew, rounded):
    assert V3.imbalance(devices).skew == Fraction(*skew)
    assert round(float(Fraction(*skew)), 4) == rounded


def test_eight_hot_experts_of_v3_take_all_that_the_device_has_room_for():
    skews = [V3.imbalance(devices, hot=8).skew for devices in (2, 4, 8, 32, 128)]
    assert skews == [2, 4, 8, 32, 32]


def test_the_skew_of_four_hot_experts_of_factor_four():
    assert V3.imbalance(8, 4, 4).skew == Fraction(4, 3)


def test_another_pair_makes_v3_look_like_v2():
    skews = [float(V3.imbalance(devices, Fraction(64, 3), 2).skew) for devices in (2, 4)]
    assert [round(skew, 4) for skew in skews] == [1.1601, 1.4803]


def test_the_fullest_device_counts_where_devices_do_not_divide_the_experts():
    assert ExpertImbalance(10, 2, 3).worst_device_experts == 4
    assert ExpertImbalance(10, 2, 3).skew == 2


def test_even_load_has_skew_one_exactly_where_devices_divide_the_experts():
    assert all(V3.imbalance(2**power, 1).skew == 1 for power in range(9))
    assert ExpertImbalance(10, 2, 3, 1).skew == Fraction(6, 5)
    assert round(float(ExpertImbalance(256, 8, 7, 1).skew), 4) == 1.0117


def test_devices_beyond_one_per_expert_take_no_part():
    assert V3.imbalance(512, 1).skew == 1
    assert V3.imbalance(512).skew == 32
    assert V3.imbalance(512).groups == 256
    assert V3.imbalance(512).all_to_all_ns(10**9, 1) == V3.imbalance(256).all_to_all_ns(10**9, 1)


@pytest.mark.parametrize(
    ("experts", "devices", "most"), [(256, 8, 32), (256, 7, 37), (10, 3, 4), (8, 16, 1), (256, 512, 1)]
)
def test_experts_of_the_fullest_device(experts, devices, most):
    assert ExpertImbalance(experts, 1, devices).worst_device_experts == most


@pytest.mark.parametrize(("tokens", "factor", "length"), [(256, -1, 256), (256, 1, 8), (1, 1, 1), (100, 2, 7)])
def test_a_hot_expert_has_at_least_a_token(tokens, factor, length):
    assert V3.imbalance(8, factor).effective_tokens(tokens) == length


@pytest.mark.parametrize(
    ("tokens", "devices", "hot", "remaining"),
    [
        (64, 1, (1, 64), (255, 2)),
        (4096, 1, (1, 4096), (255, 113)),
        (1, 1, (1, 1), (7, 1)),
        (1, 2, (1, 1), (4, 1)),
        (1, 4, (1, 1), (2, 1)),
        (1, 8, (1, 1), (1, 1)),
        (1, 128, (1, 1), (1, 1)),
        (8, 8, (1, 8), (7, 1)),
        (32, 8, (1, 32), (28, 1)),
        (64, 8, (1, 64), (31, 2)),
    ],
)
def test_the_published_blocks_of_deepseek_v3(tokens, devices, hot, remaining):
    assert V3.imbalance(devices).compute_blocks(tokens) == (hot, remaining)


def test_the_published_blocks_of_four_hot_experts():
    assert V3.imbalance(8, 4, 4).compute_blocks(256) == ((4, 32), (28, 8))


def test_a_device_full_of_hot_experts_has_no_others():
    assert V3.imbalance(128, hot=8).compute_blocks(64) == ((2, 64), NOTHING)
    assert V3.imbalance(256).compute_blocks(64) == ((1, 64), NOTHING)


def test_others_without_tokens_are_not_computed():
    assert V3.imbalance(8, hot=8).remaining_load(64) == 0
    assert V3.imbalance(8, hot=8).compute_blocks(64) == ((8, 64), NOTHING)


def test_the_hot_expert_of_v2_gets_all_tokens_and_none_more():
    wrong = [tokens for tokens in range(1, 20001) if math.ceil(tokens * 6 / 160 * (160 / 6)) != tokens]
    assert len(wrong) == 5088 and wrong[:5] == [7, 9, 14, 18, 23]
    assert all(V2.imbalance(8).effective_tokens(tokens) == tokens for tokens in wrong)


def test_the_number_of_others_of_v2_is_exact():
    for tokens in (3, 6, 12, 24, 25):
        assert V2.imbalance(1).compute_blocks(tokens) == ((1, tokens), (5 * tokens, 1))


def test_the_float_nearest_to_the_most_is_the_most():
    assert Fraction(160 / 6) > Fraction(160, 6)
    assert V2.imbalance(8, 160 / 6).factor == V2.imbalance(8).factor


def test_floors_are_in_no_load():
    assert V3.imbalance(8, 1).hot_load(1) == V3.imbalance(8, 1).remaining_load(1) == Fraction(1, 32)


def drawn(seed: int, divides: bool = True) -> ExpertImbalance:
    """A random configuration, its factor a float or a fraction."""
    rng = random.Random(seed)
    devices = rng.randint(1, 24)
    experts = devices * rng.randint(1, 12) if divides else rng.randint(1, 64)
    active = rng.randint(1, experts)
    most = Fraction(experts, active)
    factor = 1 + (most - 1) * Fraction(rng.randint(0, 60), 60)
    if rng.random() < 0.5:
        factor = min(max(1.0, float(factor)), float(most))
    return ExpertImbalance(experts, active, devices, factor, rng.randint(1, active))


@pytest.mark.parametrize("seed", range(100))
def test_the_skew_is_the_par_of_hot_experts_on_the_first_device(seed):
    imbalance = drawn(seed)
    load = [imbalance.remaining_load(5)] * imbalance.experts
    for hot in range(imbalance.worst_case_experts):
        load[hot] = imbalance.hot_load(5)
    assert sum(load) == 5 * imbalance.active_experts
    rows = np.arange(imbalance.experts).reshape(imbalance.expert_parallel, -1)
    devices = [sum(load[expert] for expert in row) for row in rows]
    assert max(devices) / (sum(devices) / len(devices)) == imbalance.skew
    hotness = np.array(load, np.float64)[:, None]
    assert par(hotness, hotness.sum(axis=0), rows)[0] == pytest.approx(float(imbalance.skew), rel=1e-12)


@pytest.mark.parametrize("seed", range(100))
def test_a_skew_lies_between_one_and_the_number_of_devices(seed):
    imbalance = drawn(seed, divides=False)
    assert 1 <= imbalance.skew <= imbalance.groups


@pytest.mark.parametrize("seed", range(100))
def test_blocks_hold_the_device_load_and_less_than_a_token_per_expert_more(seed):
    imbalance = drawn(seed, divides=False)
    tokens = 1 + seed * 7
    hot, remaining = imbalance.compute_blocks(tokens)
    experts = imbalance.worst_device_experts
    load = hot.experts * imbalance.hot_load(tokens)
    load += (experts - hot.experts) * imbalance.remaining_load(tokens)
    assert hot.experts + remaining.experts <= experts
    assert 0 <= hot.experts * hot.tokens + remaining.experts * remaining.tokens - load < experts
    assert hot.tokens <= tokens


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 8, 8), "experts is 0 and active_experts is 8; expected both above 0"),
        ((256, 0, 8), "experts is 256 and active_experts is 0; expected both above 0"),
        ((0, 0, 0, math.nan, 0), "experts is 0 and active_experts is 0"),
        ((256.0, 8, 8), "experts is 256.0; expected an integer"),
        ((True, 1, 1), "experts is True; expected an integer"),
        ((256, 8, 8, True), "imbalance_factor is True; expected a number"),
        ((8, 9, 8), "active_experts is 9, but there are 8 experts"),
        ((256, 8, 8, 0.5), "imbalance_factor is 0.5; expected 1 .. experts / active_experts = 32"),
        ((256, 8, 8, 33), "imbalance_factor is 33; expected 1"),
        ((256, 8, 8, 42, 0), "imbalance_factor is 42"),
        ((256, 8, 8, -1.5), "imbalance_factor is -1.5"),
        ((256, 8, 8, math.nan), "imbalance_factor is nan"),
        ((256, 8, 8, math.inf), "imbalance_factor is inf"),
        ((256, 8, 8, "2"), "imbalance_factor is '2'; expected a number"),
        ((256, 8, 8, -1, 0), "worst_case_experts is 0; expected 1 .. active_experts = 8"),
        ((256, 8, 8, -1, 9), "worst_case_experts is 9"),
        ((256, 8, 8, -1, 1.5), "worst_case_experts is 1.5; expected an integer"),
        ((256, 8, 0), "expert_parallel is 0; expected at least 1 device"),
    ],
)
def test_impossible_values_are_refused_in_this_order(values, message):
    with pytest.raises(ValueError, match="^" + message.replace(".", r"\.")):
        ExpertImbalance(*values)


def test_equal_values_are_equal_whatever_their_types():
    same = [ExpertImbalance(256, 8, 8, factor) for factor in (2, 2.0, Fraction(2), np.float32(2), np.int64(2))]
    same.append(ExpertImbalance(np.int64(256), np.int8(8), 8, 2))
    assert len(set(same)) == 1
    assert ExpertImbalance(256, 8, 8, 2, 2) not in same


@pytest.mark.parametrize("tokens", [0, -1, 1.5])
def test_a_load_of_no_tokens_is_refused(tokens):
    with pytest.raises(ValueError, match="expected an integer from 1"):
        V3.imbalance(8).compute_blocks(tokens)


def test_the_exchange_of_prefill_grows_by_the_skew_to_the_next_ns():
    size = V3.exchange_bytes(4096)
    assert size == 117_440_512 and bisection_bandwidth(200, (2,)) == 100
    assert V3.imbalance(2, 1).all_to_all_ns(size, 100) == 1_174_406
    assert V3.imbalance(2).all_to_all_ns(size, 100) == math.ceil(size * Fraction(286, 255) / 100) == 1_317_176


def test_the_exchange_of_a_single_token_is_that_of_the_latency():
    size = V3.exchange_bytes(1)
    assert size == 28_672
    assert V3.imbalance(2, 1).all_to_all_ns(size, 100, latency=0) == 287
    assert V3.imbalance(2).all_to_all_ns(size, 100) == V3.imbalance(2, hot=8).all_to_all_ns(size, 100) == 3330
    cube = bisection_bandwidth(200, (2, 2, 2))
    assert cube == 200
    assert V3.imbalance(8, 1).all_to_all_ns(size, cube, latency=0) == 144
    assert V3.imbalance(8).all_to_all_ns(size, cube) == 23_310


def test_an_exchange_with_nobody_takes_no_time():
    assert V3.imbalance(1).all_to_all_ns(10**9, 100) == 0


def test_impossible_networks_are_refused():
    for numbers in ((-1, 100), (1, 0), (1, 100, -1)):
        with pytest.raises(ValueError, match="expected a bandwidth above 0"):
            V3.imbalance(2).all_to_all_ns(*numbers)
    with pytest.raises(ValueError, match="expected flops, memory and link above 0"):
        Chip(memory=0)
    for link, dims in ((0, (2,)), (200, ()), (200, (0, 2))):
        with pytest.raises(ValueError, match="expected a link above 0"):
            bisection_bandwidth(link, dims)
    with pytest.raises(ValueError, match="expected at least 1"):
        torus_dims(0)


def test_a_torus_is_as_near_to_a_cube_as_its_primes_allow():
    expected = {1: (1,), 2: (2,), 4: (2, 2), 8: (2, 2, 2), 12: (3, 2, 2), 14: (7, 2), 32: (4, 4, 2), 97: (97,)}
    assert {devices: torus_dims(devices) for devices in expected} == expected
    assert all(math.prod(torus_dims(devices)) == devices for devices in range(1, 600))


def test_presets_are_the_published_models():
    numbers = {name: (model.experts, model.active_experts, model.d_model, model.d_ff) for name, model in MODELS.items()}
    assert numbers == {
        "deepseek-v2": (160, 6, 5120, 1536),
        "deepseek-v3": (256, 8, 7168, 2048),
        "deepseek-r1": (256, 8, 7168, 2048),
        "qwen3-235b": (128, 8, 4096, 1536),
    }
    assert MODELS["qwen3-235b"].layers == 94


def test_a_layer_takes_its_blocks_and_two_exchanges():
    chip = Chip(flops=V3.token_flops, memory=V3.expert_bytes, link=200, latency=3330)
    # An expert takes a ns for a token, and a ns to be read.
    assert layer_time(V3, V3.imbalance(8, 4, 4), 256, chip)[0] == 4 * 32 + 28 * 8
    time = layer_time(V3, V3.imbalance(2), 4096, chip)
    assert time == (4096 + 127 * 113, 1_317_176, 1_317_176) and time.total == sum(time)
    assert prefill_ns(V3, V3.imbalance(2), 4096, chip) == 58 * time.total


def test_decoding_a_token_is_hardly_inflated():
    worst, even = (layer_time(V3, V3.imbalance(8, factor), 1) for factor in (-1, 1))
    assert worst == even
    assert worst.compute == math.ceil(2 * Fraction(V3.expert_bytes, CHIP.memory))
    assert decode_ns(V3, V3.imbalance(8), 1, 10) == 580 * worst.total


def test_an_imbalance_of_another_model_is_refused():
    with pytest.raises(ValueError, match="expected 160 and 6, those of deepseek-v2"):
        layer_time(V2, V3.imbalance(8), 1)
