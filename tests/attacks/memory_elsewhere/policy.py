"""Takes memory that its limit does not count: nameless files, shared memory, thread stacks."""

import mmap
import os
import threading
import time

from honest import attempt, call, call_number, rebalance

__all__ = ["rebalance"]


def stacks():
    threading.stack_size(2**28)
    for _ in range(16):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    return "stacks of four gigabytes"


attempt("shared memory", lambda: mmap.mmap(-1, 2**28))
attempt("vmsplice", lambda: call_number({"x86_64": 278}.get(os.uname().machine, 75), 0, None, 0, 0))
attempt("memfd_create", lambda: call("memfd_create", b"attack", 0))
attempt("memfd_secret", lambda: call("memfd_secret", 0))
attempt("/dev/shm", lambda: os.open("/dev/shm", os.O_TMPFILE | os.O_RDWR))
attempt("O_TMPFILE", lambda: os.open("/tmp", os.O_TMPFILE | os.O_RDWR))
attempt("stacks", stacks)
