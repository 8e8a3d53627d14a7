"""Changes what is no content: times, modes, owners, attributes of files that it may only read."""

import os

from honest import HERE, attempt, library, outside, package, rebalance

__all__ = ["rebalance"]


def touch(path):
    status = os.stat(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return path


def attribute(path):
    os.setxattr(path, "user.attack", b"1")
    os.removexattr(path, "user.attack")
    return path


def through_descriptor(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fchmod(descriptor, os.stat(path).st_mode & 0o7777)
    finally:
        os.close(descriptor)
    return path


# Every change is to the value that was there: on an open machine this suite must do no harm.
for path in (f"{HERE}/policy.py", HERE, library(), f"{package()}/replay.py", package(), *outside()):
    attempt(f"utime {path}", lambda path=path: touch(path))
    attempt(f"chmod {path}", lambda path=path: os.chmod(path, os.stat(path).st_mode & 0o7777) or path)
    attempt(f"fchmod {path}", lambda path=path: through_descriptor(path))
    attempt(f"chown {path}", lambda path=path: os.chown(path, os.stat(path).st_uid, os.stat(path).st_gid) or path)
    attempt(f"setxattr {path}", lambda path=path: attribute(path))
