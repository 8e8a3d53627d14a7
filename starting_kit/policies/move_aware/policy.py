"""Move-aware: edits of the live table, each made only when the seconds that it saves exceed those of its slots.

Idea: one objective in modeled seconds, of execution and of movement: what a layer's risk costs over the iterations that
are left, and what its changed slots cost. From the live table on, a layer is edited while an edit lowers the sum: a
spare replica is replaced by one more of an expert on the busiest device (one slot), then experts of the busiest device
change places with those of others (two slots). The layers that gain most come first.

Source: ours, of `planning`'s blocks: loads since the last switch, the risk of a device (mean, and what goes beyond it),
exchanges, the gate.

When to use: where slots are dear. It never plans from scratch, so it moves little, and comes to a halt where only
several edits at once would help: at a high ep above all.

Measured: composite_score 101.5687 on the sample grid, on generated sample traces.
"""

import numpy as np

from planning.exchange import exchange
from planning.gate import seconds_of_par, seconds_of_slot, worthwhile
from planning.memory import Memory, switch
from planning.relabelling import align_slots
from planning.risk import POWER, Forecast, expected_maximum, objective

DRIFT, EXCHANGES, ROUNDS = 2.0, 150, 3


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
        table = deployment
        for _ in range(ROUNDS):
            table = replaced(forecast, table, case.devices, price / value)
            table = exchange(forecast, table, EXCHANGES, 2 * price / value)
        table = align_slots(table, deployment)
        gains = objective(forecast, deployment) - objective(forecast, table)
        return worthwhile(gains[None], table[None], deployment, value, price)


def replaced(forecast, live, steps, least):
    """The live table after at most `steps` replacements in a layer, each gaining more than `least` of its objective."""
    table, going = live.copy(), np.arange(len(live))
    value, weights = objective(forecast, table), forecast.weights(1.0)
    for _ in range(steps):
        if not len(going):
            break
        rows = table[going]
        device, slot, expert = replacement(weights[going], rows)
        rows[np.arange(len(going)), device, slot] = expert
        after = objective(forecast.of_layers(going), rows)
        made = value[going] - after > least
        going = going[made]
        table[going], value[going] = rows[made], after[made]
    return table


def replacement(weights, rows):
    """The replacement in each layer after which the POWER-norm of the devices' sums of weights is about least.

    weights: [layer, expert]; rows: [layer, device, slot]. Looked at are one more replica of an expert of the busiest
    device in any spare slot, and any expert in a spare slot of the busiest device. Returns device, slot, and its new
    expert; where nothing can be replaced, some slot and the expert that it has. Effects are added up expert by expert,
    so a device that holds both experts is only roughly right.
    """
    layers, experts = weights.shape
    row = np.arange(layers)
    at = row[:, None, None] * experts + rows
    count = np.bincount(at.ravel(), minlength=layers * experts)
    one_more = weights / (count.reshape(weights.shape) + 1)
    count, weight = count[at], weights[row[:, None, None], rows]
    sums = (weight / count).sum(axis=2)
    busiest, top = sums.argmax(axis=1), sums.max(axis=1)
    # All in units of the largest sum, whose powers then hold in a float.
    one_more, weight, sums = one_more / top[:, None], weight / top[:, None, None], sums[:, :, None] / top[:, None, None]
    part, power = weight / count, raised(sums)
    beside = (rows[:, :, :, None] == rows[:, :, None]).sum(axis=3) - 1
    # Without a replica, the expert's others carry more, those beside it on its device, too; and with one more, less.
    lift = weight / np.maximum(count - 1, 1) - part
    term = raised(sums + (beside + 1) * lift) - power
    removed = np.bincount(at.ravel(), (term / (beside + 1)).ravel(), layers * experts)[at] - term
    removed[count == 1] = np.inf
    less = raised(sums - (beside + 1) * (part - weight / (count + 1))) - power
    added = np.bincount(at.ravel(), (less / (beside + 1)).ravel(), layers * experts).reshape(layers, experts)
    left = sums - part + beside * lift
    mine = rows[row, busiest]
    elsewhere = raised(left[:, None] + one_more[row[:, None], mine][:, :, None, None]) - power[:, None]
    elsewhere += removed[:, None] + added[row[:, None], mine][:, :, None, None]
    elsewhere[(rows[:, None] == mine[:, :, None, None]).any(axis=3)] = np.inf
    here = raised(left[row, busiest][:, :, None] + one_more[:, None]) - power[row, busiest][:, None]
    here += removed[row, busiest][:, :, None] + added[:, None]
    here[row[:, None], :, mine] = np.inf
    costs = np.concatenate([elsewhere.reshape(layers, -1), here.reshape(layers, -1)], axis=1)
    best = costs.argmin(axis=1)
    own, device, slot = np.unravel_index(np.minimum(best, elsewhere[0].size - 1), elsewhere.shape[1:])
    its_slot, any_expert = np.divmod(np.maximum(best - elsewhere[0].size, 0), experts)
    is_here = best >= elsewhere[0].size
    device, slot = np.where(is_here, busiest, device), np.where(is_here, its_slot, slot)
    expert = np.where(is_here, any_expert, mine[row, own])
    return device, slot, np.where(np.isfinite(costs[row, best]), expert, rows[row, device, slot])


def raised(values):
    """`values` to the POWER, which is 2 to the fifth, much faster than with `**`."""
    for _ in range(POWER.bit_length() - 1):
        values = values * values
    return values
