"""Answers with arrays of objects, which carry code or lie about their value."""

import os

import numpy as np

import honest


def rebalance(hotness, n_device, n_red_expert):
    change, layers, table, aux = honest.rebalance(hotness, n_device, n_red_expert)

    class Liar:
        def __init__(self, value):
            self.value = value

        def __index__(self):
            self.value += 1
            return self.value

        __int__ = __index__

        def __reduce__(self):
            return os.system, ("touch /tmp/attack-pickle",)

    lies = np.array([[[Liar(expert) for expert in device] for device in layer] for layer in table], dtype=object)
    if n_device == 2:
        return change, layers, lies, aux
    return change, [Liar(0)], table, aux
