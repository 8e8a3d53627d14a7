"""Raises only on windows that it does not like, so that they might drop out of the mean."""

import honest

calls = 0


def rebalance(*arguments):
    global calls
    calls += 1
    if calls == 2 and arguments[1] == 3:
        raise ValueError("a hard window")
    return honest.rebalance(*arguments)
