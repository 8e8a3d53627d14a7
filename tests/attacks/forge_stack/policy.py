"""Takes the signal that asks for its stack: forges one, floods what is read of it, and answers then."""

import os
import signal

import honest

asked = []


def forge(*signal_and_frame):
    asked.append(True)
    for name in ("x\x1b[2J\ty", "ingestion: scored", "z" * 10**5):
        os.write(2, f'  File "{honest.HERE}/policy.py", line 1 in {name}\n'.encode() * 10)


signal.signal(signal.SIGUSR1, forge)
print("taken", flush=True)


def rebalance(*arguments):
    while not asked:
        signal.pause()
    return honest.rebalance(*arguments)
