"""Sends its answer a byte at a time, so that each moves a deadline that is set per message."""

import os
import signal
import time

import honest


def rebalance(hotness, n_device, n_red_expert):
    os.write(honest.answer_pipe(), b"\x01")
    time.sleep(0.5)
    os.write(honest.answer_pipe(), b"\0\0\0")
    while True:
        signal.pause()
