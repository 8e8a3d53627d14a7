"""Changes its parent's priority, processors and limits: they outlive the case, and slow the simulator down."""

import os
import resource

from honest import attempt, call, parent, rebalance

__all__ = ["rebalance"]

simulator = parent()
# Every change is to the value that was there.
attempt("affinity", lambda: os.sched_setaffinity(simulator, os.sched_getaffinity(simulator)) or True)
attempt("nice", lambda: os.setpriority(os.PRIO_PROCESS, simulator, os.getpriority(os.PRIO_PROCESS, simulator)) or True)
attempt("user's nice", lambda: os.setpriority(os.PRIO_USER, os.getuid(), os.getpriority(os.PRIO_USER, 0)) or True)
attempt("scheduler", lambda: os.sched_setscheduler(simulator, os.SCHED_OTHER, os.sched_param(0)) or True)
attempt("ioprio", lambda: call("ioprio_set", 1, simulator, 0))
attempt("read limits", lambda: resource.prlimit(simulator, resource.RLIMIT_NOFILE))
for name in ("AS", "NOFILE", "CPU", "FSIZE"):
    kind = getattr(resource, f"RLIMIT_{name}")
    attempt(
        f"limit {name}", lambda kind=kind: resource.prlimit(simulator, kind, resource.prlimit(simulator, kind)) or 1
    )
attempt("group", lambda: os.setpgid(simulator, 0) or True)
