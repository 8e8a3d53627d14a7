"""Answers honestly with an auxiliary value that cannot be copied, compared, printed or unpickled in peace."""

import os

import honest


def rebalance(hotness, n_device, n_red_expert):
    change, layers, table, _ = honest.rebalance(hotness, n_device, n_red_expert)

    class Aux:
        def __reduce__(self):
            return os._exit, (0,)

        __repr__ = __len__ = __iter__ = __bool__ = __eq__ = __array__ = lambda self, *others: os._exit(0)
        __hash__ = None

    return change, layers, table, Aux()
