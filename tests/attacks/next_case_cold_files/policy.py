"""Leaves bits for the next case by reading some files that nobody has read: what is in memory is read in less time."""

import mmap
import resource
import time

from honest import HERE, attempt, rebalance

__all__ = ["rebalance"]

BITS = "0110100110010110"
# A page from the disk takes longer, one from memory less.
LONGEST_NANOSECONDS = 20_000


def cold(number):
    with open(f"{HERE}/page{number}", "rb") as file:
        memory = mmap.mmap(file.fileno(), mmap.PAGESIZE, prot=mmap.PROT_READ)
    began = time.perf_counter_ns()
    memory[0]
    return time.perf_counter_ns() - began > LONGEST_NANOSECONDS


attempt("page faults", lambda: resource.getrusage(resource.RUSAGE_SELF))
# The last file tells whether this is the first case, which reads the files of the ones.
if cold(len(BITS)):
    for number, bit in enumerate(BITS):
        if bit == "1":
            cold(number)
    print("left")
else:
    word = "".join("01"[not cold(number)] for number in range(len(BITS)))
    attempt(f"bits {word}", lambda: word if word == BITS else None)
