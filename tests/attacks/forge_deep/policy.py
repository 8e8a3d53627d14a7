"""Writes a header nested so deeply that a parser would run out of stack."""

import os
import struct

import honest


def rebalance(*arguments):
    print("forged", flush=True)
    body = b"[" * 60000
    os.write(honest.answer_pipe(), struct.pack("<I", len(body)) + body)
    return honest.rebalance(*arguments)
