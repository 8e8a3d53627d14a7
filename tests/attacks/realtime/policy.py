"""Takes the processor from the simulator: real-time scheduling, lower nice values, locked memory."""

import os
import struct

from honest import attempt, call, rebalance

__all__ = ["rebalance"]

attempt("SCHED_FIFO", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)) or True)
attempt("SCHED_RR", lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1)) or True)
attempt("nice", lambda: os.nice(-1))
attempt("ioprio", lambda: call("ioprio_set", 1, 0, 1 << 13))
deadline = struct.pack("IIQiIQQQ", 48, 6, 0, 0, 0, 10**6, 10**8, 10**8)
attempt("SCHED_DEADLINE", lambda: call("sched_setattr", 0, deadline, 0) or True)
