"""Leaves bits for the next case by reading some files that nobody has read: faults tell what is in the page cache."""

import mmap
import resource

from honest import HERE, attempt, rebalance

__all__ = ["rebalance"]

BITS = "0110100110010110"


def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt


def cold(number):
    with open(f"{HERE}/page{number}", "rb") as file:
        memory = mmap.mmap(file.fileno(), mmap.PAGESIZE, prot=mmap.PROT_READ)
    before = faults()
    memory[0]
    return faults() - before


# The last file tells whether this is the first case, which reads the files of the ones.
if cold(len(BITS)):
    for number, bit in enumerate(BITS):
        if bit == "1":
            cold(number)
    print("left")
else:
    word = "".join(str(1 - cold(number)) for number in range(len(BITS)))
    attempt(f"bits {word}", lambda: word if word == BITS else None)
