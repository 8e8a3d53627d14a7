"""Leaves links in its scratch folder that lead to files a careless removal would remove."""

import os

from honest import HERE, attempt, package, rebalance, scratch

__all__ = ["rebalance"]

# Open only if what they lead to is gone afterwards, which the runner sees.
for number, place in enumerate((HERE, package(), f"{HERE}/policy.py", f"{HERE}/../../traces", "..", "5")):
    attempt(f"link to {place}", lambda number=number, place=place: os.symlink(place, f"{scratch()}/{number}"))
    attempt(f"hard link to {place}", lambda place=place: os.link(place, f"{scratch()}/hard"))
