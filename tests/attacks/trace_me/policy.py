"""Makes the simulator its own tracer, and disarms what ends it with its parent."""

from honest import attempt, call, rebalance

__all__ = ["rebalance"]

attempt("PTRACE_TRACEME", lambda: call("ptrace", 0, 0, 0, 0))
