"""Sends its answers to the log: nothing arrives."""

import os

import honest


def rebalance(*arguments):
    os.dup2(1, honest.answer_pipe())
    return honest.rebalance(*arguments)
