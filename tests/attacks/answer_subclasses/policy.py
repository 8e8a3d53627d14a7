"""Answers with subclasses of array, list and int that lie about size, type and content."""

import numpy as np

import honest


def rebalance(hotness, n_device, n_red_expert):
    change, layers, table, aux = honest.rebalance(hotness, n_device, n_red_expert)

    class Table(np.ndarray):
        shape = property(lambda self: (1,))
        size = ndim = nbytes = 0
        tobytes = astype = copy = __array__ = lambda self, *arguments, **options: b""

    class Layers(list):
        __len__ = __length_hint__ = lambda self: 1
        __eq__ = __contains__ = lambda self, other: True

    class Layer(int):
        __eq__ = __lt__ = __gt__ = __le__ = __ge__ = lambda self, other: True
        __hash__ = int.__hash__
        __repr__ = __str__ = lambda self: "0"

    return change, Layers(map(Layer, layers)), np.array(table).view(Table), aux
