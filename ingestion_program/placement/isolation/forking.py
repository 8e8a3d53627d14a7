"""The template's side: run as a program, it imports what a policy's process needs, and forks itself for each case."""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections.abc import Sequence

from . import host, protocol, sandbox


def main(control_fd: int) -> None:
    """Wait for cases until the parent closes the control; a fork returns once its policy has failed.

    A request comes with the descriptors of the case's requests, answers and output, and tells nothing of the case:
    later forks can read what is in this process's memory. With `fork` the answer is the new process's id, and the
    process is the parent's child; else this process serves the case.
    """
    sandbox.hide_process()
    # Pages that the collector does not write to stay common to all forks.
    gc.freeze()
    control = socket.socket(fileno=control_fd)
    while True:
        request, descriptors = host.receive_request(control, 3)
        process = _forked() if request["fork"] else 0
        if not process:
            control.close()
            return _serve(descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        protocol.write_all(control.fileno(), protocol.encode({"kind": "forked", "process": process}))


def _forked() -> int:
    """Fork; 0 in the new process, its id here. The process between the two has ended: the new one is the parent's."""
    reading, writing = os.pipe()
    between = os.fork()
    if between:
        os.close(writing)
        os.waitpid(between, 0)
        process = os.read(reading, 20)
        os.close(reading)
        # Without an id, the process between has said why.
        return int(process) if process else sys.exit(1)
    os.close(reading)
    if process := os.fork():
        os.write(writing, b"%d" % process)
        os._exit(0)
    os.close(writing)
    os.setsid()
    return 0


def _serve(descriptors: Sequence[int]) -> None:
    requests, answers, output = descriptors
    # Opened anew: what is open in several processes, with one position and the same flags, tells one of another.
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, standard in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, standard)
    os.close(nothing)
    os.close(output)
    # Python's own generator is seeded anew at a fork, and numpy's is not.
    if random := sys.modules.get("numpy.random"):
        random.seed()
    host.main(requests, answers)
