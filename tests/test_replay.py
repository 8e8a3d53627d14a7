"""The replay loop against the slow oracle on random cases, and properties that hold for any policy."""

import numpy as np
import pytest

from benchmarking.plain_replay import plain_replay
from cases import Answers, B, C, P, make_case, make_trace, random_rows, random_sizes, redeploy, steady_trace
from placement.replay import replay
from placement.results import mean_par

REACHED = (
    *("shortest", "window 1", "latency", "cut off", "idle layer", "one device", "one slot a device", "no redundancy"),
    *("more devices than experts", "devices that do not divide the experts"),
)
KINDS = ("none", "nothing", "all", "some", "same", "nonsense")


class RandomPolicy:
    """Answers of every kind, drawn from a seed: the same ones in each run. Notes what it saw."""

    def __init__(self, seed, devices, redundant):
        self.rng, self.devices, self.redundant = np.random.default_rng(seed), devices, redundant
        self.seen, self.kinds, self.listed = [], [], []

    def __call__(self, window, deployment, iteration):
        self.seen.append((window.tolist(), deployment.tolist(), iteration))
        kind = str(self.rng.choice(KINDS))
        self.kinds.append(kind)
        layers, experts = window.shape[1:]
        order = self.rng.permutation(layers)
        if kind not in ("all", "same"):
            order = order[: self.rng.integers(1, layers + 1)]
        table = np.stack([random_rows(self.rng, experts, self.devices, self.redundant) for _ in range(layers)])
        if kind == "none":
            return None
        if kind == "nothing":
            order = order[:0]
        if kind == "same":
            table = deployment.copy()
        if kind == "nonsense":
            table[np.setdiff1d(np.arange(layers), order)] = self.rng.integers(-9, 99)
        self.listed.append((iteration, len(order)))
        return order, table


class Scenario:
    """A random case, its trace with zeros, and a seed for its policy."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.seed = seed
        self.experts, self.redundant, self.devices = random_sizes(rng)
        self.layers, self.window = int(rng.integers(1, 5)), int(rng.choice([1, 1, 2, 3, 7]))
        self.latency = int(rng.integers(0, 6))
        self.iterations = self.window + 2 + int(rng.choice([0, rng.integers(0, 60)]))
        shape = (self.iterations, self.layers, self.experts)
        largest = int(rng.choice([3, 40, 2**31]))
        self.hotness = rng.integers(0, largest, shape) * (rng.random(shape) < 0.8)

    def run_both(self):
        """(replay, its policy), (plain_replay, its policy)."""
        trace = make_trace(self.hotness)
        sizes = (self.layers, self.experts, self.devices, self.window, self.latency)
        case = make_case(*sizes, redundant=self.redundant)
        policy, plain_policy = (RandomPolicy(self.seed, self.devices, self.redundant) for _ in range(2))
        fast = replay(trace, case, lambda start, stop, table, i: policy(trace.window(start, stop), table, i))
        sizes = (self.devices, self.window, self.latency)
        plain = plain_replay(self.hotness, *sizes, plain_policy, self.redundant)
        return (fast, policy), (plain, plain_policy)


@pytest.mark.parametrize("seed", range(250))
def test_replay_equals_the_slow_oracle(seed):
    (fast, policy), (plain, plain_policy) = Scenario(seed).run_both()
    np.testing.assert_allclose(fast.par, plain.par, rtol=1e-12, atol=0)
    assert mean_par(fast.par) == plain.mean_par
    assert fast.transmit().tolist() == plain.transmit_per_iteration
    assert fast.transmit_amount == plain.transmit_amount
    assert policy.seen == plain_policy.seen
    assert fast.calls == [iteration for iteration, _, _ in plain.calls]
    assert len(fast.applications) == plain.redeployed_layers
    last = len(fast.par) + 1
    assert [fast.rows_at(layer, last).tolist() for layer in range(fast.case.layers)] == plain.final_table


def test_the_random_scenarios_reach_what_they_are_meant_to_test():
    reached, kinds = dict.fromkeys(REACHED, 0), set()
    for seed in range(250):
        scenario = Scenario(seed)
        (fast, policy), _ = scenario.run_both()
        kinds |= set(policy.kinds)
        ends = [iteration + scenario.latency + listed for iteration, listed in policy.listed if listed]
        reached["shortest"] += scenario.iterations == scenario.window + 2
        reached["window 1"] += scenario.window == 1
        reached["latency"] += scenario.latency > 0 and len(fast.calls) > 2
        reached["cut off"] += bool(ends) and ends[-1] > scenario.iterations
        reached["idle layer"] += any(part.changed == 0 for part in fast.applications)
        reached["one device"] += scenario.devices == 1
        reached["one slot a device"] += scenario.devices == scenario.experts + scenario.redundant
        reached["no redundancy"] += scenario.redundant == 0
        reached["more devices than experts"] += scenario.devices > scenario.experts
        reached["devices that do not divide the experts"] += scenario.experts % scenario.devices > 0
    assert kinds == set(KINDS)
    assert min(reached.values()) >= 20, reached


def test_a_layer_applied_in_the_last_iteration_is_charged_and_not_measured():
    result = replay(steady_trace(5), make_case(), Answers(redeploy([0, 1], [B, B])))
    assert result.calls == [4]
    assert result.par.tolist() == [[1.5, 1.5]] * 5
    assert result.transmit().tolist() == [0, 0, 0, 0, 3]


def test_a_call_in_the_last_iteration_changes_nothing():
    result = replay(steady_trace(8), make_case(), Answers(None, redeploy([0], [B, B])))
    assert result.calls == [4, 8]
    assert result.applications == [] and result.transmit_amount == 0


def test_a_listed_layer_without_changes_takes_its_iteration():
    idle = replay(steady_trace(13), make_case(), Answers(redeploy([0, 1], [B, P]), redeploy([1, 0], [C, P]), None))
    assert [(part.iteration, part.layer, part.changed) for part in idle.applications] == [
        (5, 0, 3),
        (6, 1, 2),
        (11, 1, 0),
        (12, 0, 1),
    ]


def test_a_declined_call_has_no_latency():
    result = replay(steady_trace(20), make_case(latency=4), Answers(None, None, redeploy([0], [B, B]), None))
    assert result.calls == [4, 8, 12]
    assert [part.iteration for part in result.applications] == [17]


# Properties that hold for any policy


def test_permuting_the_layers_of_trace_and_answer_permutes_par():
    rng = np.random.default_rng(5)
    hotness, order = rng.integers(1, 50, (30, 4, 6)), np.array([2, 0, 3, 1])
    table = np.stack([random_rows(rng, 6, 3) for _ in range(4)])
    case = make_case(4, 6, 3, window=10)
    result = replay(make_trace(hotness), case, Answers(redeploy([3, 1], table), None))
    permuted = replay(make_trace(hotness[:, order]), case, Answers(redeploy([2, 3], table[order]), None))
    assert order[[2, 3]].tolist() == [3, 1]
    assert np.array_equal(permuted.par, result.par[:, order])
    assert permuted.transmit().tolist() == result.transmit().tolist()


@pytest.mark.parametrize("seed", range(10))
def test_unlisted_rows_have_no_effect(seed):
    rng = np.random.default_rng(seed)
    trace, case = make_trace(rng.integers(0, 50, (25, 4, 6))), make_case(4, 6, 3, window=4)
    table = np.stack([random_rows(rng, 6, 3) for _ in range(4)])
    other = table.copy()
    other[[0, 3]] = rng.integers(-(2**63), 2**63 - 1, other[[0, 3]].shape)
    first, second = (replay(trace, case, lambda *_, rows=rows: redeploy([2, 1], rows)) for rows in (table, other))
    assert len(first.calls) > 2
    assert first.par.tobytes() == second.par.tobytes()
    assert first.transmit().tolist() == second.transmit().tolist()


def shifting(trace, keep, scribble=False):
    """A policy that moves every expert on by one at each call: in one table that it keeps, or in fresh ones."""
    state = {"table": None, "priority": None}

    def rebalance(start, stop, deployment, iteration):
        if state["table"] is None or not keep:
            state["table"], state["priority"] = deployment.copy(), np.array([1, 0])
        state["table"][:] = (deployment + 1) % trace.experts
        state["priority"][:] = [iteration % 2, 1 - iteration % 2]
        if scribble:
            deployment[:] = -1
        return state["priority"], state["table"]

    return rebalance


@pytest.mark.parametrize("change", [{"keep": True}, {"keep": False, "scribble": True}])
def test_writing_to_arrays_that_were_handed_over_has_no_effect(change):
    trace, case = make_trace(np.random.default_rng(1).integers(0, 50, (30, 2, 4))), make_case(window=3)
    expected = replay(trace, case, shifting(trace, keep=False))
    result = replay(trace, case, shifting(trace, **change))
    assert len(expected.calls) > 3 and expected.transmit_amount > 20
    assert result.par.tobytes() == expected.par.tobytes()
    assert result.transmit().tolist() == expected.transmit().tolist()


def test_the_live_table_may_be_edited_and_returned():
    def swap(start, stop, deployment, iteration):
        deployment[:, 0, 0], deployment[:, 0, 1] = deployment[:, 0, 1].copy(), deployment[:, 0, 0].copy()
        return np.arange(2), deployment

    result = replay(steady_trace(9), make_case(), swap)
    assert result.calls == [4] and result.transmit_amount == 4


def test_a_replay_repeated_is_the_same_to_the_last_bit():
    first, again = (Scenario(11).run_both()[0][0] for _ in range(2))
    assert first.par.tobytes() == again.par.tobytes() and first.calls == again.calls
    assert first.transmit().tobytes() == again.transmit().tobytes()
