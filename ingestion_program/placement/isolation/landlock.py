"""Landlock: closes the file system, TCP and signals to the calling process, as far as the kernel can (Linux).

Numbers and structures are those of the kernel's include/uapi/linux/landlock.h; no privilege is needed.
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION, PATH_BENEATH = 1, 1
WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = (1 << bit for bit in (1, 2, 3, 14))
REMOVE_DIR, REMOVE_FILE, MAKE_DIR, MAKE_REG = (1 << bit for bit in (4, 5, 7, 8))
READ = READ_FILE | READ_DIR
# No links, pipes or devices, and nothing moves from one folder to another: so a look into all of them counts it, while
# the policy stands still.
WRITE = READ | WRITE_FILE | TRUNCATE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG
ON_FILES = READ_FILE | WRITE_FILE | TRUNCATE
# How many rights to files each version of the interface knows; later versions have at least the last.
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
TCP_RIGHTS, SCOPES = 2, 2
TCP_SINCE, SCOPES_SINCE = 4, 6


class RulesetAttributes(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("tcp", ctypes.c_uint64), ("scopes", ctypes.c_uint64)]


class PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("rights", ctypes.c_uint64), ("folder", ctypes.c_int32)]


def version() -> int:
    """The kernel's version of the interface, 0 where there is none."""
    return max(0, _syscall(CREATE_RULESET, None, ctypes.c_size_t(0), VERSION)) if sys.platform == "linux" else 0


def restrict(readable: Iterable[Path], writable: Iterable[Path]) -> set[str]:
    """Leave the calling thread, and threads that it starts, only the files in or below these paths.

    Paths that do not exist are skipped. Returns what is closed: "files", with newer kernels also "tcp" and "signals"
    (to other processes); nothing where the kernel has no Landlock. Needs no_new_privs.
    """
    known = version()
    if not known:
        return set()
    rights = FILE_RIGHTS.get(known, FILE_RIGHTS[max(FILE_RIGHTS)])
    attributes = RulesetAttributes((1 << rights) - 1, 0, 0)
    closed = {"files"}
    if known >= TCP_SINCE:
        attributes.tcp, closed = (1 << TCP_RIGHTS) - 1, closed | {"tcp"}
    if known >= SCOPES_SINCE:
        attributes.scopes, closed = (1 << SCOPES) - 1, closed | {"signals"}
    ruleset = _syscall(CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(ctypes.sizeof(attributes)), 0)
    if ruleset < 0:
        return set()
    try:
        for paths, wanted in ((readable, READ), (writable, WRITE)):
            for path in paths:
                _allow(ruleset, path, wanted & attributes.files)
        return closed if _syscall(RESTRICT_SELF, ruleset, 0) == 0 else set()
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= ON_FILES
        _syscall(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(PathBeneath(rights, descriptor)), 0)
    finally:
        os.close(descriptor)


def _syscall(number: int, *arguments: object) -> int:
    """The result of a system call; -1 for a failure."""
    return ctypes.CDLL(None).syscall(ctypes.c_long(number), *arguments)
