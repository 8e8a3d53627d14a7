"""A seccomp filter against system calls that a policy does not need and could leave its process with (Linux).

The filter lists what is denied, so any Python and numpy run. Numbers above the newest known call do not exist for a
policy. Structures are those of the kernel's linux/filter.h and linux/seccomp.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterable

# Each call's number on x86-64 and on aarch64; None where the machine lacks it.
DENIED: dict[str, tuple[int | None, int | None]] = {
    # New programs and processes, and leaving the process group.
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "setsid": (112, 157), "setpgid": (109, 154),
    # Sockets, and descriptors sent over the one that brings the requests.
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242), "sendto": (44, 206), "sendmsg": (46, 211), "sendmmsg": (307, 269),
    # They give a descriptor of the process at the other end, and have one sent along.
    "getsockopt": (55, 209), "setsockopt": (54, 208),
    # Other processes' memory, descriptors and signals.
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "setpriority": (141, 140),
    "ioprio_set": (251, 30), "ioprio_get": (252, 31), "getpriority": (140, 141),
    "sched_setaffinity": (203, 122), "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119), "sched_setattr": (314, 274),
    # They tell which process ids there are.
    "capget": (125, 90), "get_robust_list": (274, 100), "migrate_pages": (256, 238),
    # Memory that no limit counts, or that other processes share.
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196),
    "shmctl": (31, 195), "semget": (64, 190), "semop": (65, 193), "semctl": (66, 191), "semtimedop": (220, 192),
    "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187), "mq_open": (240, 180),
    "mq_unlink": (241, 181), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    # Rules and filters of its own: memory of the kernel's, and a rule holds a removed file.
    "seccomp": (317, 277), "landlock_create_ruleset": (444, 444), "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
    # What the file system remembers of a file: Landlock leaves it open, and another case could read it.
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
    "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    # Older versions of Landlock let files be emptied that may only be read.
    "truncate": (76, 45),
    "setxattrat": (463, 463), "removexattrat": (466, 466), "file_setattr": (469, 469), "flock": (73, 32),
    "inotify_init": (253, None), "inotify_init1": (294, 26), "fanotify_init": (300, 262),
    "mknod": (133, None), "mknodat": (259, 33), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    # What lies in the page cache tells what another case has read.
    "cachestat": (451, 451), "mincore": (27, 232), "preadv2": (327, 286), "pwritev2": (328, 287),
    "fadvise64": (221, 223), "readahead": (187, 213), "sync_file_range": (277, 84), "move_pages": (279, 239),
    # Page faults that had to wait for the disk, which cannot be cut out of what it tells.
    "getrusage": (98, 165),
    # A timer may send SIGCONT, and with it a policy would run on between its calls.
    "timer_create": (222, 107),
    # Mounts and namespaces.
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97),
    "setns": (308, 268), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "statmount": (457, 457), "listmount": (458, 458), "open_tree_attr": (467, 467), "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    # Large and rarely used doors of the kernel.
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "io_setup": (206, 0), "io_submit": (209, 2), "vmsplice": (278, 75),
    "userfaultfd": (323, 282), "bpf": (321, 280), "perf_event_open": (298, 241), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "acct": (163, 89), "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "clock_adjtime": (305, 266), "sethostname": (170, 161), "setdomainname": (171, 162), "syslog": (103, 116),
    "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None), "personality": (135, 92),
}  # fmt: skip
# C libraries then use clone, open and openat, whose flags can be looked at.
MISSING = {"clone3": (435, 435), "openat2": (437, 437)}
# It reserves room on the disk faster than anybody counts. With this error the C library writes zeros instead.
UNSUPPORTED = {"fallocate": (285, 47)}
CLONE, FCNTL, IOCTL, PRCTL, MADVISE = (56, 220), (72, 25), (16, 29), (157, 167), (28, 233)
FUTEX, CLOSE_RANGE, MMAP = (202, 98), (436, 436), (9, 222)
# MAP_SHARED | MAP_ANONYMOUS among all kinds of mappings: such memory stays when all of it but a page is unmapped.
SHARED_MEMORY, KINDS = 0x21, 0x2F
# Allowed on the own process only, whose id may be given as zero.
OWN_PROCESS = {"prlimit64": (302, 261), "getpgid": (121, 155), "getsid": (124, 156)}
# The same; with ENOSYS for others the C library asks for a thread's attributes without them.
OWN_SCHEDULING = {
    "sched_getaffinity": (204, 123), "sched_getparam": (143, 121), "sched_getscheduler": (145, 120),
    "sched_getattr": (315, 275), "sched_rr_get_interval": (148, 127),
}  # fmt: skip
# To the own process only, and which argument is the signal. SIGCONT would let a policy run on between its calls.
SIGNALS = {"kill": ((62, 129), 1), "tgkill": ((234, 131), 2)}
SIGCONT = 18
# CLONE_VM, FS, FILES, SIGHAND, THREAD: all that threads share. One table of descriptors keeps to one limit.
THREAD = (0x100, 0x200, 0x400, 0x800, 0x10000)
CLOSE_RANGE_UNSHARE = 2
# Locks with an owner, which tell whether a process of some id is there. Bits above say how to wait.
OWNED_LOCKS, FUTEX_COMMAND = (6, 7, 8, 11, 12, 13), 0x7F
# Each call that opens, and which of its arguments are the flags.
OPENS = {"open": ((2, None), 1), "openat": ((257, 56), 2)}
# The bit that makes O_TMPFILE of O_DIRECTORY: a file that never had a name. Python's tempfile then takes one that had.
O_WRONLY_OR_RDWR, O_TRUNC, TMPFILE = 0x3, 0x200, 0x400000
# All that Python asks of a descriptor: F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC. The others set
# locks, leases, hints and owners of signals, which other processes see.
COMMANDS = (0, 1, 2, 3, 4, 1030)
# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX.
QUESTIONS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
# MADV_NORMAL, RANDOM, SEQUENTIAL, DONTNEED, FREE, HUGEPAGE, NOHUGEPAGE, DONTDUMP, DODUMP: what allocators use. Others
# move pages in and out of the page cache.
ADVICE = (0, 1, 2, 4, 8, 14, 15, 16, 17)
# Calls whose first argument is a clock; negative numbers are other processes' clocks.
CLOCKS = {"clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115)}
NEGATIVE = 0x80000000
# PR_SET_PDEATHSIG, DUMPABLE (a policy could hide its descriptors from their count), SECCOMP, SCHED_CORE, PTRACER.
OPTIONS = (1, 4, 22, 62, 0x59616D61)
NEWEST = 469
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

LOAD, EQUAL, AT_LEAST, ANY_BIT, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
ALLOW, ERROR, KILL = 0x7FFF0000, 0x00050000, 0x80000000
REFUSED, ABSENT, UNFIT = (ERROR | number for number in (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP))
NUMBER, MACHINE = 0, 4
SET_MODE_FILTER, ALL_THREADS = 1, 1


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def deny() -> bool:
    """Set the filter for all threads of the calling process; False where it cannot be. Needs no_new_privs."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in MACHINES or sys.maxsize < 2**32:
        return False
    code = instructions(machine, os.getpid())
    program = Program(len(code) // 8, code)
    column, _ = MACHINES[machine]
    arguments = (SET_MODE_FILTER, ALL_THREADS, ctypes.byref(program))
    return ctypes.CDLL(None).syscall(ctypes.c_long(DENIED["seccomp"][column]), *arguments) == 0


def instructions(machine: str, process: int) -> bytes:
    """The filter's program for a machine (x86_64 or aarch64) and a process id."""
    column, audit_machine = MACHINES[machine]
    program = [
        # Another machine's numbers (32-bit calls) mean other calls.
        _step(LOAD, MACHINE),
        *_unless(EQUAL, audit_machine, KILL),
        _step(LOAD, NUMBER),
        # Also the x32 interface's numbers, which begin at 2^30.
        *_if(AT_LEAST, NEWEST + 1, ABSENT),
        # First, because it is called most.
        *_call(FUTEX[column], [_load(1), _step(AND, FUTEX_COMMAND), *_ifs(EQUAL, OWNED_LOCKS, ABSENT)], ALLOW),
    ]
    for listed, verdict in ((MISSING, ABSENT), (DENIED, REFUSED), (UNSUPPORTED, UNFIT)):
        for numbers in listed.values():
            if numbers[column] is not None:
                program += _if(EQUAL, numbers[column], verdict)
    shared = [step for flag in THREAD for step in _unless(ANY_BIT, flag, REFUSED)]
    program += _call(CLONE[column], [_load(0), *shared], ALLOW)
    for numbers, signal in SIGNALS.values():
        itself = [_load(0), *_unless(EQUAL, process, REFUSED)]
        program += _call(numbers[column], [*itself, _load(signal), *_if(EQUAL, SIGCONT, REFUSED)], ALLOW)
    for listed, verdict in ((OWN_PROCESS, REFUSED), (OWN_SCHEDULING, ABSENT)):
        for numbers in listed.values():
            program += _call(numbers[column], [_load(0), *_ifs(EQUAL, (process, 0), ALLOW)], verdict)
    for numbers, flags in OPENS.values():
        if numbers[column] is not None:
            program += _open(numbers[column], flags)
    for numbers in CLOCKS.values():
        program += _call(numbers[column], [_load(0), *_if(ANY_BIT, NEGATIVE, REFUSED)], ALLOW)
    program += _call(CLOSE_RANGE[column], [_load(2), *_if(ANY_BIT, CLOSE_RANGE_UNSHARE, REFUSED)], ALLOW)
    program += _call(MADVISE[column], [_load(2), *_ifs(EQUAL, ADVICE, ALLOW)], REFUSED)
    program += _call(FCNTL[column], [_load(1), *_ifs(EQUAL, COMMANDS, ALLOW)], REFUSED)
    program += _call(IOCTL[column], [_load(1), *_ifs(EQUAL, QUESTIONS, ALLOW)], REFUSED)
    program += _call(MMAP[column], [_load(3), _step(AND, KINDS), *_if(EQUAL, SHARED_MEMORY, REFUSED)], ALLOW)
    program += _call(PRCTL[column], [_load(0), *_ifs(EQUAL, OPTIONS, REFUSED)], ALLOW)
    return b"".join([*program, _step(RETURN, ALLOW)])


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def _load(index: int) -> bytes:
    """Load the lower half of an argument, which holds every value that is compared here."""
    return _step(LOAD, 16 + 8 * index)


def _if(test: int, value: int, verdict: int) -> list[bytes]:
    """Return the verdict when the test holds for the loaded value."""
    return [_step(test, value, 0, 1), _step(RETURN, verdict)]


def _ifs(test: int, values: Iterable[int], verdict: int) -> list[bytes]:
    """Return the verdict when the test holds with one of the values."""
    return [step for value in values for step in _if(test, value, verdict)]


def _unless(test: int, value: int, verdict: int) -> list[bytes]:
    """Return the verdict when the test does not hold for the loaded value."""
    return [_step(test, value, 1, 0), _step(RETURN, verdict)]


def _call(number: int, body: list[bytes], otherwise: int) -> list[bytes]:
    """For one call: the body's verdict, or the other one where the body gives none."""
    return [_step(EQUAL, number, 0, len(body) + 1), *body, _step(RETURN, otherwise)]


def _open(number: int, flags: int) -> list[bytes]:
    """For one call that opens: deny files without a name, and flags that empty a file opened for reading only."""
    emptied = [_step(ANY_BIT, O_TRUNC, 0, 2), *_unless(ANY_BIT, O_WRONLY_OR_RDWR, REFUSED)]
    return _call(number, [_load(flags), *_if(ANY_BIT, TMPFILE, UNFIT), *emptied], ALLOW)
