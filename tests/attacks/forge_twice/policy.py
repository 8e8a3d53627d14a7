"""Answers one call twice: a forged header before the honest answer."""

import os

import honest
from placement.isolation import protocol


def rebalance(*arguments):
    print("forged", flush=True)
    os.write(honest.answer_pipe(), protocol.encode({"kind": "keep"}))
    return honest.rebalance(*arguments)
