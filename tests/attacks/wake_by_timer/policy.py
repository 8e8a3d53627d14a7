"""Sends itself SIGCONT, which lets it run on while it is stopped between its calls, or has a timer send it."""

import ctypes
import os
import signal
import struct
import threading
import time

from honest import attempt, call, rebalance

__all__ = ["rebalance"]

libc = ctypes.CDLL(None, use_errno=True)


def arm():
    timer = ctypes.create_string_buffer(8)
    event = ctypes.create_string_buffer(struct.pack("Pii", 0, signal.SIGCONT, 0) + bytes(48))
    if libc.timer_create(time.CLOCK_MONOTONIC, event, timer) != 0:
        raise OSError(ctypes.get_errno(), "timer_create")
    interval = struct.pack("qqqq", 0, 10**7, 0, 10**7)
    libc.timer_settime(struct.unpack("P", timer.raw)[0], 0, interval, 0)
    # Nobody else sends SIGCONT now, so only the timer can end this stop.
    os.kill(os.getpid(), signal.SIGSTOP)
    return "ran on after a stop"


process, thread, room = os.getpid(), threading.get_native_id(), ctypes.create_string_buffer(128)
attempt("timer", arm)
attempt("kill", lambda: os.kill(process, signal.SIGCONT) or True)
for name, target in (("tgkill", (process, thread)), ("tkill", (thread,))):
    attempt(name, lambda name=name, target=target: call(name, *target, signal.SIGCONT))
for name, target in (("rt_sigqueueinfo", (process,)), ("rt_tgsigqueueinfo", (process, thread))):
    attempt(name, lambda name=name, target=target: call(name, *target, signal.SIGCONT, ctypes.addressof(room)))
