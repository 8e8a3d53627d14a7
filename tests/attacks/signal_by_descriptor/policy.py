"""Has the kernel kill the simulator when a descriptor becomes ready (F_SETOWN with F_SETSIG)."""

import fcntl
import os
import signal
import time

from honest import answer_pipe, attempt, parent, rebalance

__all__ = ["rebalance"]

SET_SIGNAL = 10


def arm(descriptor, owner):
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, owner)
    fcntl.fcntl(descriptor, SET_SIGNAL, signal.SIGKILL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)


for owner in (parent(), -parent()):
    reader, writer = os.pipe()
    # Only a death tells whether the signal arrived.
    attempt("arm", lambda reader=reader, owner=owner: arm(reader, owner))
    os.write(writer, b"x")
    attempt("arm the answer pipe", lambda owner=owner: fcntl.fcntl(answer_pipe(), fcntl.F_SETOWN, owner) or None)
time.sleep(0.05)
