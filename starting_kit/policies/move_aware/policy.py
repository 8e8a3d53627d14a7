"""Move-aware: edits of the live table, each made only when the seconds that it saves exceed those of its slots.

Idea: one objective in modeled seconds, of execution and of movement: what a layer's risk costs over the iterations that
are left, and what its changed slots cost. From the live table on, a layer is edited while an edit lowers the sum: a
spare replica gives its slot to one more of another expert (one slot), then experts of the busiest device change places
with those of others (two slots). The layers that gain most come first.

Source: ours, of `planning`'s blocks: loads since the last switch, the risk of a device (mean, and what goes beyond it),
re-assignment of replicas, exchanges, the gate.

When to use: where slots are dear. It never plans from scratch, so it moves little, and comes to a halt where only
several edits at once would help.

Measured: composite_score 102.2550 on the sample grid, on generated sample traces.
"""

from planning.alignment import align_slots
from planning.exchange import exchange
from planning.gate import seconds_of_par, seconds_of_slot, worthwhile
from planning.memory import Memory, switch
from planning.reassignment import reassign
from planning.risk import Forecast, expected_maximum, objective

DRIFT, REASSIGNMENTS, EXCHANGES = 2.0, 60, 150


class Policy:
    def __init__(self, case):
        self.case, self.memory = case, Memory(case.layers, case.experts)

    def rebalance(self, hotness, deployment, iteration):
        case, memory = self.case, self.memory
        value, price = seconds_of_par(case, iteration), seconds_of_slot(case)
        if not value:
            return None
        memory.forget(switch(memory, memory.add(hotness)))
        loadings, noise = memory.loadings(), expected_maximum(case.devices)
        forecast = Forecast(memory.load(), memory.variance() + memory.alone(loadings), loadings, noise, DRIFT)
        table = reassign(forecast, deployment, REASSIGNMENTS, price / value)
        table = align_slots(exchange(forecast, table, EXCHANGES, 2 * price / value), deployment)
        gains = objective(forecast, deployment) - objective(forecast, table)
        return worthwhile(gains[None], table[None], deployment, value, price)
