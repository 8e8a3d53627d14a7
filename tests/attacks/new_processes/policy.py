"""Starts processes in every way there is."""

import multiprocessing
import os
import pty
import subprocess
import sys
from contextlib import suppress

from honest import attempt, call, rebalance

__all__ = ["rebalance"]


def child(start):
    process = start()
    if process == 0:
        os._exit(0)
    if isinstance(process, int) and process > 0:
        with suppress(ChildProcessError):
            os.waitpid(process, 0)
    return process


def spawn():
    process = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(process, 0)
    return process


def worker():
    process = multiprocessing.get_context("fork").Process(target=os.getpid)
    process.start()
    process.join()
    return process


attempt("fork", lambda: child(os.fork))
attempt("forkpty", lambda: child(lambda: pty.fork()[0]))
attempt("clone", lambda: child(lambda: call("clone", 17, 0, 0, 0, 0)))
attempt("clone of the parent", lambda: child(lambda: call("clone", 0x8000 | 17, 0, 0, 0, 0)))
attempt("raw fork", lambda: child(lambda: call("fork")))
attempt("clone3", lambda: child(lambda: call("clone3", bytes(32) + b"\x11" + bytes(55), 88)))
attempt("posix_spawn", spawn)
attempt("subprocess", lambda: subprocess.run([sys.executable, "-c", ""], check=True))
attempt("vfork", lambda: child(lambda: call("vfork")))
attempt("system", lambda: None if os.system("true") else "true")
attempt("popen", lambda: os.popen("echo gained").read() or None)
attempt("multiprocessing", worker)
attempt("pool", lambda: multiprocessing.get_context("fork").Pool(1).map(abs, [1]))
attempt("execve", lambda: os.execv("/bin/true", ["true"]))
attempt("execve of Python", lambda: os.execv(sys.executable, [sys.executable, "-c", "pass"]))
attempt("execveat", lambda: call("execveat", -100, b"/bin/true", 0, 0, 0))
