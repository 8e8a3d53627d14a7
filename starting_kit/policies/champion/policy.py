"""champion"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from planning.exchange import exchange
from planning.memory import Memory, switch
from planning.placing import place_by_risk
from planning.relabelling import relabel
from planning.risk import Forecast, expected_maximum, objective

NOISE, DRIFT = 0.7, 2.5
STEPS = 150
PRICE = 1.7


class Policy:
    def __init__(self, case):
        self.case = case
        self.memory = Memory(case.layers, case.experts)

    def rebalance(self, hotness, deployment, iteration):
        case, memory = self.case, self.memory
        new = memory.add(hotness)
        before = switch(memory, new)
        if before:
            memory.forget(before)
        forecast = Forecast(
            memory.load(), memory.variance(), memory.loadings(), NOISE * expected_maximum(case.devices), DRIFT
        )
        left = max(case.iterations - iteration - case.layers / 2, 0) / case.iterations
        worth = case.balanced_compute_seconds / case.layers * left
        price = PRICE * case.expert_bytes / case.bandwidth_bytes_per_second
        if worth <= 0:
            return None
        fresh = exchange(forecast, place_by_risk(forecast, case.devices, case.redundant_experts), STEPS)
        fresh = relabel(fresh, deployment, case.experts)
        mended = exchange(forecast, deployment, STEPS, 2 * price / worth)
        now = objective(forecast, deployment)
        tables, values = [fresh, mended], []
        for table in tables:
            gain = now - objective(forecast, table)
            values.append(worth * gain - price * (table != deployment).sum(axis=(1, 2)))
        choice = np.argmax(values, axis=0)
        value = np.max(values, axis=0)
        table = np.stack(tables)[choice, np.arange(case.layers)]
        order = np.argsort(-value, kind="stable")
        return order[value[order] > 0], table
