"""Announces lengths that are negative or larger than any memory."""

import os

import honest
from placement.isolation import protocol


def rebalance(*arguments):
    print("forged", flush=True)
    header = {2: {"priority": -1, "table": [2, 2, 3]}, 3: {"priority": 1, "table": [2**40, 2**40, 2**40]}}[arguments[1]]
    os.write(honest.answer_pipe(), protocol.encode({"kind": "redeploy", "iteration": 4} | header))
    return honest.rebalance(*arguments)
