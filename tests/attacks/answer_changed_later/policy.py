"""Changes the arrays of its answers from a thread, after it has returned them."""

import threading
import time

import numpy as np

import honest

answers = []


def change_later():
    while True:
        time.sleep(0.0005)
        for returned, layers, table in answers:
            if time.monotonic() > returned + 0.002:
                layers[:] = 0
                table[:] = -1


threading.Thread(target=change_later, daemon=True).start()


def rebalance(*arguments):
    change, layers, table, aux = honest.rebalance(*arguments)
    layers, table = np.array(layers), np.array(table)
    answers.append((time.monotonic(), layers, table))
    return change, layers, table, aux
