"""Keeps descriptors and memory of a window and its table, writes into them, and watches for a later window there."""

import mmap
import os
import sys

import honest
from honest import attempt

host = sys.modules["placement.isolation.host"]
original, kept = host.receive, []


def write(descriptor, size):
    mmap.mmap(descriptor, size)[:] = bytes(size)
    return "the simulator's memory"


def look(descriptor):
    size = os.fstat(descriptor).st_size
    shared = mmap.mmap(os.dup(descriptor), size, prot=mmap.PROT_READ)
    kept.append((shared, shared[:]))
    # Closed, or of no use: the runner sees whether the results change.
    attempt("write", lambda: write(descriptor, size) and None)
    attempt("grow", lambda: os.ftruncate(descriptor, 2**30) or "memory without a limit")


def keep(case, *descriptors):
    for descriptor in descriptors:
        look(descriptor)
    return original(case, *descriptors)


host.receive = keep


def rebalance(*arguments):
    for shared, before in kept:
        attempt("a later window", lambda shared=shared, before=before: None if shared[:] == before else shared[:16])
    return honest.rebalance(*arguments)
