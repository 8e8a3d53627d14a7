"""Signals every process, group and thread it can name, and asks which there are."""

import ctypes
import os
import struct

from honest import attempt, call, parent, rebalance

__all__ = ["rebalance"]

# Signal 0 only asks whether another one would arrive: on an open machine this suite must do no harm.
simulator = parent()
around = range(simulator - 5, simulator + 1)
for process in (1, -1, *around, *(-process for process in around)):
    attempt(f"kill {process}", lambda process=process: os.kill(process, 0) or True)
room = ctypes.create_string_buffer(128)
here = ctypes.addressof(room)
for name, arguments in (
    ("tgkill", (simulator, simulator, 0)),
    ("tkill", (simulator, 0)),
    ("rt_sigqueueinfo", (simulator, 0, here)),
    ("rt_tgsigqueueinfo", (simulator, simulator, 0, here)),
    ("getpgid", (simulator,)),
    ("getsid", (simulator,)),
    ("sched_getaffinity", (simulator, 128, here)),
    ("sched_getparam", (simulator, here)),
    ("sched_getscheduler", (simulator,)),
    ("sched_getattr", (simulator, here, 48, 0)),
    ("sched_rr_get_interval", (simulator, here)),
    ("get_robust_list", (simulator, here, here + 8)),
    ("capget", (struct.pack("Ii", 0x20080522, simulator), room)),
    # A lock that the simulator seems to hold: FUTEX_TRYLOCK_PI and LOCK_PI, which has waited long enough.
    ("futex", (struct.pack("i", simulator), 8, 0, 0)),
    ("futex", (struct.pack("i", simulator), 6 | 128, 0, struct.pack("qq", 1, 0))),
):
    attempt(name, lambda name=name, arguments=arguments: call(name, *arguments))
