"""Shared memory, semaphores, message queues and keys that outlive a process."""

from honest import attempt, call, rebalance

__all__ = ["rebalance"]


def made(make, remove=None):
    # Removed at once: on an open machine this suite must leave nothing.
    identifier = make()
    if remove and isinstance(identifier, int):
        remove(identifier)
    return identifier


attempt("shm", lambda: made(lambda: call("shmget", 0, 4096, 0o1600), lambda i: call("shmctl", i, 0, 0)))
attempt("sem", lambda: made(lambda: call("semget", 0, 1, 0o1600), lambda i: call("semctl", i, 0, 0)))
attempt("msg", lambda: made(lambda: call("msgget", 0, 0o1600), lambda i: call("msgctl", i, 0, 0)))
attempt("mqueue", lambda: call("mq_open", b"attack-no-such-queue", 0, 0, 0))
attempt("keyring", lambda: call("keyctl", 0, -3, 0))
attempt("add_key", lambda: call("add_key", b"no-such-type", b"attack", b"x", 1, -3))
attempt("request_key", lambda: call("request_key", b"user", b"attack-no-such-key", 0, -3))
