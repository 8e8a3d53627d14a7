"""A seccomp filter: the system calls that a policy has no use for and could leave its process with (Linux).

A list of what is denied, so that any Python and numpy run; numbers above the newest that is known do not exist.
Structures are those of the kernel's linux/filter.h and linux/seccomp.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

# Each call's number on x86-64 and on aarch64; None where the machine lacks it.
DENIED: dict[str, tuple[int | None, int | None]] = {
    # New programs and processes, and leaving the process group.
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "setsid": (112, 157), "setpgid": (109, 154),
    # Sockets, and descriptors sent over the one that brings the requests.
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242), "sendto": (44, 206), "sendmsg": (46, 211), "sendmmsg": (307, 269),
    # Other processes' memory, descriptors and signals.
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "setpriority": (141, 140),
    "ioprio_set": (251, 30), "ioprio_get": (252, 31), "getpriority": (140, 141),
    "sched_setaffinity": (203, 122), "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119), "sched_setattr": (314, 274),
    # Memory that no limit counts, or that other processes share.
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196),
    "shmctl": (31, 195), "semget": (64, 190), "semop": (65, 193), "semctl": (66, 191), "semtimedop": (220, 192),
    "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187), "mq_open": (240, 180),
    "mq_unlink": (241, 181), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
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
    "fadvise64": (221, 223), "readahead": (187, 213), "sync_file_range": (277, 84),
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
    "io_setup": (206, 0), "io_submit": (209, 2),
    "userfaultfd": (323, 282), "bpf": (321, 280), "perf_event_open": (298, 241), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "acct": (163, 89), "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "clock_adjtime": (305, 266), "sethostname": (170, 161), "setdomainname": (171, 162), "syslog": (103, 116),
    "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None), "personality": (135, 92),
}  # fmt: skip
# C libraries then use clone, open and openat, whose flags can be looked at.
MISSING = {"clone3": (435, 435), "openat2": (437, 437)}
CLONE, FCNTL, IOCTL, PRCTL, MADVISE = (56, 220), (72, 25), (16, 29), (157, 167), (28, 233)
# Allowed on the own process only; to prlimit64 zero means itself.
OWN_PROCESS = {"kill": (62, 129), "tgkill": (234, 131), "prlimit64": (302, 261)}
CLONE_THREAD = 0x10000
# Each call that opens, and which of its arguments are the flags.
OPENS = {"open": ((2, None), 1), "openat": ((257, 56), 2)}
O_WRONLY_OR_RDWR, O_TRUNC = 0x3, 0x200
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
PR_SET_PDEATHSIG = 1
NEWEST = 470
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, ERROR, KILL = 0x7FFF0000, 0x00050000, 0x80000000
NUMBER, MACHINE = 0, 4
SET_MODE_FILTER, ALL_THREADS = 1, 1
SECCOMP = {"x86_64": 317, "aarch64": 277}


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def deny() -> bool:
    """Set the filter for all threads of the calling process; False where it cannot be. Needs no_new_privs."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in MACHINES or sys.maxsize < 2**32:
        return False
    code = instructions(machine, os.getpid())
    program = Program(len(code) // 8, code)
    arguments = (SET_MODE_FILTER, ALL_THREADS, ctypes.byref(program))
    return ctypes.CDLL(None).syscall(ctypes.c_long(SECCOMP[machine]), *arguments) == 0


def instructions(machine: str, process: int) -> bytes:
    """The filter's program for a machine (x86_64 or aarch64) and a process id."""
    column, audit_machine = MACHINES[machine]
    program = [
        # Another machine's numbers (32-bit calls) mean other calls.
        *_unless(MACHINE, EQUAL, audit_machine, KILL),
        _step(LOAD, NUMBER),
        # Also the x32 interface's numbers, which begin at 2^30.
        *_if(AT_LEAST, NEWEST + 1, ERROR | errno.ENOSYS),
    ]
    for numbers in MISSING.values():
        program += _if(EQUAL, numbers[column], ERROR | errno.ENOSYS)
    for numbers in DENIED.values():
        if numbers[column] is not None:
            program += _if(EQUAL, numbers[column], ERROR | errno.EPERM)
    program += _call(CLONE[column], _argument(0), [(ANY_BIT, CLONE_THREAD)])
    for name, numbers in OWN_PROCESS.items():
        targets = [process, 0] if name == "prlimit64" else [process]
        program += _call(numbers[column], _argument(0), [(EQUAL, value) for value in targets])
    for numbers, flags in OPENS.values():
        if numbers[column] is not None:
            program += _open(numbers[column], _argument(flags))
    for numbers in CLOCKS.values():
        program += _call(numbers[column], _argument(0), [(ANY_BIT, NEGATIVE)], allowed=False)
    program += _call(MADVISE[column], _argument(2), [(EQUAL, value) for value in ADVICE])
    program += _call(FCNTL[column], _argument(1), [(EQUAL, value) for value in COMMANDS])
    program += _call(IOCTL[column], _argument(1), [(EQUAL, value) for value in QUESTIONS])
    program += _call(PRCTL[column], _argument(0), [(EQUAL, PR_SET_PDEATHSIG)], allowed=False)
    return b"".join([*program, _step(RETURN, ALLOW)])


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def _if(test: int, value: int, verdict: int) -> list[bytes]:
    """Return the verdict when the test holds for the loaded value."""
    return [_step(test, value, 0, 1), _step(RETURN, verdict)]


def _unless(offset: int, test: int, value: int, verdict: int) -> list[bytes]:
    return [_step(LOAD, offset), _step(test, value, 1, 0), _step(RETURN, verdict)]


def _argument(index: int) -> int:
    """Offset of an argument's lower half, which holds every value that is compared here."""
    return 16 + 8 * index


def _call(number: int, offset: int, tests: list[tuple[int, int]], allowed: bool = True) -> list[bytes]:
    """For one call: allow it (or deny it) when one of the tests holds for an argument, else the opposite."""
    held, otherwise = (ALLOW, ERROR | errno.EPERM) if allowed else (ERROR | errno.EPERM, ALLOW)
    body = [_step(LOAD, offset)]
    for test, value in tests:
        body += _if(test, value, held)
    body.append(_step(RETURN, otherwise))
    return [_step(EQUAL, number, 0, len(body)), *body]


def _open(number: int, offset: int) -> list[bytes]:
    """For one call that opens: deny the flags that empty a file which they open for reading only."""
    body = [
        _step(LOAD, offset),
        _step(ANY_BIT, O_TRUNC, 0, 2),
        _step(ANY_BIT, O_WRONLY_OR_RDWR, 1, 0),
        _step(RETURN, ERROR | errno.EPERM),
        _step(RETURN, ALLOW),
    ]
    return [_step(EQUAL, number, 0, len(body)), *body]
