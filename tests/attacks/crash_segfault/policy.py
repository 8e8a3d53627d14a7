"""Crashes in native code: an address that is not there, and abort."""

import ctypes
import os

import honest


def rebalance(hotness, n_device, n_red_expert):
    ctypes.string_at(8) if n_device == 2 else os.abort()
    return honest.rebalance(hotness, n_device, n_red_expert)
