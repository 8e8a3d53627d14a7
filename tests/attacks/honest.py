"""Copied into every attack: an honest policy, and the words with which an attack says how far it got."""

import ctypes
import errno
import os
import platform
import socket
import stat
import sys

# Names of its own: an attack may patch the builtins.
from builtins import max, sorted, sum  # noqa: UP029

HERE = os.path.dirname(os.path.abspath(__file__))
# The kernel refused. Any other error means that a call got past the filter.
REFUSED = (errno.EPERM, errno.EACCES, errno.ENOSYS)
# Numbers on x86_64 and aarch64; from 424 on they are the same everywhere.
CALLS = {
    "clone": (56, 220),
    "fork": (57, None),
    "vfork": (58, None),
    "clone3": (435, 435),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "kcmp": (312, 272),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "tgkill": (234, 131),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "prlimit64": (302, 261),
    "sched_setattr": (314, 274),
    "sched_setscheduler": (144, 119),
    "ioprio_set": (251, 30),
    "io_uring_setup": (425, 425),
    "userfaultfd": (323, 282),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "chroot": (161, 51),
    "pivot_root": (155, 41),
    "fsopen": (430, 430),
    "open_tree": (428, 428),
    "mount_setattr": (442, 442),
    "swapon": (167, 224),
    "reboot": (169, 142),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "delete_module": (176, 106),
    "acct": (163, 89),
    "sethostname": (170, 161),
    "syslog": (103, 116),
    "iopl": (172, None),
    "adjtimex": (159, 171),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "mq_open": (240, 180),
    "shmget": (29, 194),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semctl": (66, 191),
    "msgget": (68, 186),
    "msgctl": (71, 187),
    "inotify_init1": (294, 26),
    "inotify_add_watch": (254, 27),
    "mincore": (27, 232),
    "fadvise64": (221, 223),
    "mknodat": (259, 33),
    "capset": (126, 91),
    "quotactl": (179, 60),
    "io_setup": (206, 0),
    "fallocate": (285, 47),
    "close_range": (436, 436),
    "futex": (202, 98),
    "seccomp": (317, 277),
    "landlock_create_ruleset": (444, 444),
    "getpgid": (121, 155),
    "getsid": (124, 156),
    "capget": (125, 90),
    "get_robust_list": (274, 100),
    "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120),
    "sched_getattr": (315, 275),
    "sched_rr_get_interval": (148, 127),
}

_libc = ctypes.CDLL(None, use_errno=True)


def rebalance(hotness, n_device, n_red_expert):
    """Plain Python, so that no patched module changes it: the hottest experts twice, dealt to and fro."""
    window = hotness.tolist()
    table, heat = [], []
    for layer in range(len(window[0])):
        loads = [sum(expert) for expert in zip(*(iteration[layer] for iteration in window), strict=True)]
        order = sorted(range(len(loads)), key=lambda expert: -loads[expert])
        order = sorted(order + order[:n_red_expert], key=lambda expert: -loads[expert])
        rounds = [order[start : start + n_device] for start in range(0, len(order), n_device)]
        rounds = [row[::-1] if number % 2 else row for number, row in enumerate(rounds)]
        table.append([list(device) for device in zip(*rounds, strict=True)])
        heat.append(max(loads))
    return True, sorted(range(len(heat)), key=lambda layer: -heat[layer]), table, None


def attempt(name, action):
    """Try something that must not work, and say in the log whether it did; None means that nothing was gained."""
    try:
        gained = action()
    except BaseException as error:
        number = getattr(error, "errno", None)
        print(f"closed: {name}: {type(error).__name__} {errno.errorcode.get(number, '')}".rstrip(), flush=True)
        return
    if gained is None:
        print(f"closed: {name}: nothing", flush=True)
    else:
        print(f"OPEN: {name}: {gained!r:.120}", flush=True)


def call(name, *arguments):
    """A system call by its name; raises where the kernel refuses, whatever else it answers is a gain."""
    number = CALLS[name][platform.machine() == "aarch64"]
    if number is None:
        raise OSError(errno.ENOSYS, name)
    return call_number(number, *arguments)


def call_number(number, *arguments):
    """A system call by its number."""
    values = [
        value if isinstance(value, bytes) or not isinstance(value, int) else ctypes.c_long(value) for value in arguments
    ]
    ctypes.set_errno(0)
    result = _libc.syscall(ctypes.c_long(number), *values)
    if result == -1:
        error = ctypes.get_errno()
        if error in REFUSED:
            raise OSError(error, os.strerror(error))
        return f"reached the kernel: {errno.errorcode.get(error, error)}"
    return result


def scratch():
    """The one folder in which a policy may write."""
    return os.environ["TMPDIR"]


def parent():
    """The process that replays the trace: never init, whatever happened to it."""
    process = os.getppid()
    if process <= 1:
        raise ProcessLookupError
    return process


def library():
    """A file of Python's own, readable by every policy."""
    return os.__file__


def package():
    """The folder of the simulator's package."""
    return os.path.dirname(os.path.abspath(sys.modules["placement"].__file__))


def around():
    """The folders around this one, up to the root."""
    folder, found = HERE, []
    while folder != "/":
        folder = os.path.dirname(folder)
        found.append(folder)
    return found


def outside():
    """Folders that hold what a policy must not see: the program, the traces, results, other submissions."""
    parents, program = around(), os.path.dirname(package())
    places = ["/app", "/app/data", "/app/output", "/app/program", "/tmp", "/root", "/home", "/etc", "/var/tmp"]
    places += ["/app/ingested_program", program, f"{program}/keys"]
    places += [f"{folder}/{name}" for folder in parents for name in ("output", "submission", "traces")]
    places += [os.path.dirname(os.environ.get("TMPDIR", "/tmp/x")), "/dev", "/dev/shm", "/proc", "/sys", "/run"]
    return list(dict.fromkeys(os.path.normpath(place) for place in parents + places))


def traces():
    """Where this suite hides its one trace: beside a local run, and on the platform."""
    places = [*(f"{folder}/traces" for folder in around()), "/app/data", "/app/data/tiny"]
    return [f"{place}/Tinymodel/Secretset.npy" for place in places]


def descriptors(kind):
    """Open descriptors of a kind: stat.S_ISSOCK, stat.S_ISFIFO, ..., above the three of every program."""
    found = []
    for number in range(3, 256):
        try:
            if kind(os.fstat(number).st_mode):
                found.append(number)
        except OSError:
            pass
    return found


def answer_pipe():
    """The descriptor on which the policy's process answers."""
    return descriptors(stat.S_ISFIFO)[-1]


def request_socket():
    """The socket on which requests arrive; close it only by detach()."""
    # With its kind, which a policy cannot ask for.
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=descriptors(stat.S_ISSOCK)[0])
