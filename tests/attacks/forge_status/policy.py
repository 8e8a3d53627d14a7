"""Reports the organizer's failure, or success, as its own problem."""

import os

import honest
from placement.isolation import protocol


def rebalance(*arguments):
    print("forged", flush=True)
    status = {2: "data_unavailable", 3: "ok"}[arguments[1]]
    problem = {"kind": "problem", "status": status, "what": "x", "got": "x", "expected": "x", "next": "x"}
    os.write(honest.answer_pipe(), protocol.encode(problem))
    return honest.rebalance(*arguments)
