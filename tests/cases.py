"""Small cases, traces, policies and grids that several tests build on."""

import numpy as np

from placement.grid import Case
from placement.trace import Trace

# design.md's worked example: hotness of every iteration and layer (the 0 becomes 1), and the named rows.
EXAMPLE_HOTNESS = (4, 2, 1, 0)
A0 = [[0, 1, 1], [2, 3, 3]]
B = [[0, 1, 2], [0, 1, 3]]
C = [[0, 1, 2], [0, 3, 3]]
P = [[1, 0, 1], [2, 3, 3]]
NONSENSE = [[99, -7, 99], [99, 99, 99]]


def make_case(
    layers=2, experts=4, devices=2, window=3, latency=0, model="M", dataset="d", redundant=None, groups=1, nodes=1
):
    redundant = devices if redundant is None else redundant
    return Case(model, dataset, devices, redundant, layers, experts, window, latency, groups, nodes)


def make_trace(hotness):
    return Trace(np.asarray(hotness, np.int32))


def steady_trace(iterations=12, layers=2, hotness=EXAMPLE_HOTNESS):
    """The same hotness of the experts in every iteration and layer."""
    return make_trace(np.tile(hotness, (iterations, layers, 1)))


def redeploy(priority, table):
    """An answer as the simulator takes it."""
    return np.array(priority, np.int64), np.array(table, np.int64)


class Answers:
    """A policy that gives one answer after the other and remembers what it was called with."""

    def __init__(self, *answers):
        self._answers = list(answers)
        self.seen = []
        self.deployments = []

    def __call__(self, start, stop, deployment, iteration):
        self.seen.append((start + 1, stop))
        self.deployments.append(deployment.tolist())
        return self._answers.pop(0)


def random_rows(rng, experts, devices, redundant=None):
    """Rows [device, slot] in which every expert has a slot and chance fills the others."""
    redundant = devices if redundant is None else redundant
    held = np.concatenate([np.arange(experts), rng.integers(0, experts, redundant)])
    return rng.permutation(held).reshape(devices, -1)


def random_sizes(rng, most_devices=5, most_slots=4):
    """Experts, redundant experts and devices of any kind: also more devices than experts, and one slot a device."""
    devices, slots = int(rng.integers(1, most_devices + 1)), int(rng.integers(1, most_slots + 1))
    experts = int(rng.integers(1, devices * slots + 1))
    return experts, devices * slots - experts, devices


def grid_mapping(**changes):
    """Content of a valid small grid file, with some keys replaced."""
    # However busy the machine is.
    limits = dict.fromkeys(("start_seconds", "call_seconds", "case_seconds", "grid_seconds"), 3600)
    mapping = {
        "name": "tiny",
        "window": 3,
        "latency": 0,
        "cost": {
            "balanced_compute_seconds": 60.0,
            "expert_bytes": 88_080_384,
            "bandwidth_bytes_per_second": 900_000_000_000,
        },
        "limits": limits | {"memory_bytes": 4 * 2**30, "trace_memory_bytes": 4 * 2**30, "log_bytes": 65_536},
        "models": {"M": {"layers": 2, "experts": 4}},
        "cases": [{"model": "M", "dataset": "d", "ep": [2, 4]}],
    }
    return mapping | changes
