"""Patches numpy, json, struct, random, os and builtins in its own process."""

import builtins
import json
import os
import random
import struct
import sys

import numpy as np

from honest import rebalance

__all__ = ["rebalance"]

np.max = np.mean = np.sum = np.count_nonzero = np.sort = lambda *arguments, **options: 0
np.seterr(all="raise")
np.random.seed(0)
random.seed(0)
json.load = struct.calcsize = os.getpid = lambda *arguments, **options: 0
builtins.round = builtins.sum = builtins.max = builtins.open = lambda *arguments, **options: 0
sys.exit = sys.excepthook = os.times = lambda *arguments: None
sys.setswitchinterval(100)
print("patched")
