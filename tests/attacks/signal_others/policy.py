"""Signals every process, group and thread it can name."""

import ctypes
import os

from honest import attempt, call, parent, rebalance

__all__ = ["rebalance"]

# Signal 0 only asks whether another one would arrive: on an open machine this suite must do no harm.
simulator = parent()
group = os.getpgid(simulator)
for process in (simulator, 1, -1, -group, *range(simulator - 5, simulator)):
    attempt(f"kill {process}", lambda process=process: os.kill(process, 0) or True)
room = ctypes.create_string_buffer(128)
for name, arguments in (
    ("tgkill", (simulator, simulator, 0)),
    ("tkill", (simulator, 0)),
    ("rt_sigqueueinfo", (simulator, 0, ctypes.addressof(room))),
    ("rt_tgsigqueueinfo", (simulator, simulator, 0, ctypes.addressof(room))),
):
    attempt(name, lambda name=name, arguments=arguments: call(name, *arguments))
