"""Writes noise on the answer pipe."""

import os

import honest


def rebalance(*arguments):
    print("forged", flush=True)
    os.write(honest.answer_pipe(), b"\x40\0\0\0" + bytes(range(64)))
    return honest.rebalance(*arguments)
