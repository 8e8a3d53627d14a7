"""Sends raw ids that its own side would have refused: negative, or beyond every expert."""

import os
import struct

import honest
from placement.isolation import protocol


def rebalance(*arguments):
    print("forged", flush=True)
    value = {2: -1, 3: 2**62}[arguments[1]]
    shape = {2: [2, 2, 3], 3: [2, 3, 2]}[arguments[1]]
    header = protocol.encode({"kind": "redeploy", "iteration": 4, "priority": 1, "table": shape})
    os.write(
        honest.answer_pipe(),
        header + struct.pack("<q", 0) + struct.pack("<q", value) * (shape[0] * shape[1] * shape[2]),
    )
    return honest.rebalance(*arguments)
