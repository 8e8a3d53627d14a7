"""Announces a header of four gigabytes."""

import os

import honest


def rebalance(*arguments):
    print("forged", flush=True)
    os.write(honest.answer_pipe(), b"\xff" * 4)
    return honest.rebalance(*arguments)
