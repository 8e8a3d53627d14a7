"""Leaves hooks that run at its end, in every way there is."""

import atexit
import signal
import sys
import threading
import weakref

from honest import rebalance

__all__ = ["rebalance"]


def hook(*arguments):
    print("OPEN: a hook ran", flush=True)


class Last:
    __del__ = hook


last = Last()
atexit.register(hook)
sys.exitfunc = sys.excepthook = threading.excepthook = hook
threading._register_atexit(hook)
weakref.finalize(last, hook)
for number in (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGPIPE,
    signal.SIGALRM,
    signal.SIGUSR1,
    signal.SIGXCPU,
):
    signal.signal(number, hook)
print("hooked")
