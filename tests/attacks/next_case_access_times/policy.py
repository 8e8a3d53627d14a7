"""Leaves bits for the next case by reading some of its files and not others: their access times tell."""

import os

from honest import HERE, attempt, rebalance

__all__ = ["rebalance"]

BITS = "0110100110010110"


def found():
    times = [os.stat(f"{HERE}/bit{number}").st_atime_ns for number in range(len(BITS))]
    word = "".join(str(int(time > min(times) + 10**9)) for time in times)
    print("found", word)
    return word if word == BITS else None


attempt("read the bits", found)
for number, bit in enumerate(BITS):
    if bit == "1":
        with open(f"{HERE}/bit{number}", "rb") as file:
            file.read()
