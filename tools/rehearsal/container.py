"""Runs a command as Codabench's compute worker runs it in a container, with the kernel's namespaces alone.

The command has its own files (the host's /usr, /etc and the like and one Python, all read-only; fresh /proc, /dev and
/tmp; what the caller mounts), no network and no capabilities. Process 1 does what tini does in the worker's image.
Docker adds seccomp, limits, a control group, and a disk where / and /tmp are in memory here (1 GiB each).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MNT_DETACH = 1, 2, 4, 8, 32, 4096, 2
# As the worker's: where a command is run, and the memory of /dev/shm, which is Docker's usual one.
WORK_FOLDER, SHARED_BYTES = "/app/program", 64 * 2**20
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, CAPABILITY_3 = 1, 4, 24, 38, 0x20080522


@dataclass(frozen=True)
class Mount:
    """A host file or folder at an absolute path inside. Owners stay: chown what another uid than 0 shall write."""

    source: Path
    target: str
    writable: bool = False


class Finished(subprocess.CompletedProcess[str]):
    """A command that ended; left_behind counts the processes that it left running (they are killed)."""

    left_behind: int


def available() -> str:
    """Why this machine cannot run a container, in one sentence; empty if it can (one is run to find out)."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "A container needs Linux, root and util-linux."
    try:
        run([sys.executable, "-c", ""], [], timeout=60).check_returncode()
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        return f"This machine cannot run a container: {error}"
    return ""


def run(
    command: Sequence[str],
    mounts: Sequence[Mount],
    *,
    uid: int = 0,
    python: Path = Path(sys.executable),
    timeout: float | None = None,
) -> Finished:
    """Run a command in a new container and wait until it and all that it started are gone.

    The exit code is the command's, 128 + n if signal n ended it, 127 or 126 if it is not there or not executable.
    uid is its user and its group; python, by its path on the host, is the one Python inside, first in PATH; timeout is
    in seconds, start included. Raises ValueError for no command or a relative path, FileNotFoundError for no source or
    python, RuntimeError for no container, subprocess.TimeoutExpired after the kill.
    """
    if not command or not all(mount.target.startswith("/") for mount in mounts):
        raise ValueError(f"no command, or a path that is not absolute: {list(command)}, {list(mounts)}")
    shown = {*_prefixes(python), str(python.resolve().parent.parent)}
    binds = [(path, os.path.realpath(path), False) for path in shown]
    binds += [(mount.target, str(mount.source.resolve(strict=True)), mount.writable) for mount in mounts]
    environment = {"PYTHONUNBUFFERED": "1", "http_proxy": "", "https_proxy": "", "HOME": "/root", "LANG": "C.UTF-8"}
    search = [os.path.abspath(python.parent), "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"]
    # setpriv becomes unshare, which dies with the caller; process 1 dies with unshare, and all others with it.
    start = "setpriv --pdeathsig KILL unshare --kill-child --fork --pid --mount --propagation private --ipc --uts --net"
    init = [*start.split(), sys.executable, "-I", "-S", str(Path(__file__).resolve())]
    options: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    options |= {"env": {"PATH": ":".join(search), **environment}, "encoding": "utf-8", "errors": "replace"}
    with open(os.memfd_create("report"), "rb") as reader:
        # Sorted, as Docker does: a mount inside another one must come after it.
        job = [reader.fileno(), list(command), sorted(binds), uid]
        with subprocess.Popen(init, pass_fds=[reader.fileno()], start_new_session=True, **options) as process:
            process.args = list(command)
            try:
                output = process.communicate(json.dumps(job), timeout)
            except BaseException:
                with contextlib.suppress(OSError, ValueError):
                    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
                    # unshare ends after process 1, and that after all others: then nothing is left.
                    os.kill(int(children), signal.SIGKILL)
                    process.wait()
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)
                raise
        if not (left_behind := os.pread(reader.fileno(), 9, 0)):
            raise RuntimeError(output[1].strip().rpartition("\n")[2] or f"process 1 ended with {process.returncode}")
    finished = Finished(process.args, process.returncode, *output)
    finished.left_behind = int(left_behind)
    return finished


@functools.cache
def _prefixes(python: Path) -> list[str]:
    ask = [python, "-I", "-c", "import sys; print(sys.prefix, sys.base_prefix, sep='\\n')"]
    return subprocess.run(ask, check=True, capture_output=True, text=True).stdout.splitlines()


def _call(name: str, *arguments: int | str | bytes) -> None:
    """Call a function of the C library. Raises OSError if it fails."""
    words = [os.fsencode(value) if isinstance(value, str) else value for value in arguments]
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*words) == -1:
        raise OSError(ctypes.get_errno(), f"{name}{arguments}: {os.strerror(ctypes.get_errno())}")


def _fresh(kind: str, target: str, flags: int = 0, data: str = "") -> None:
    os.makedirs(target, exist_ok=True)
    _call("mount", kind, target, kind, MS_NOSUID | MS_NODEV | flags, data)


def _bind(source: str, target: str, writable: bool = False) -> None:
    os.makedirs(target if os.path.isdir(source) else os.path.dirname(target), exist_ok=True)
    if not os.path.exists(target):
        open(target, "x").close()
    _call("mount", source, target, "", MS_BIND, "")
    if not writable:
        _call("mount", "", target, "", MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, "")


def _enter(binds: list[tuple[str, str, bool]], uid: int) -> None:
    """Make the container around this process and give up all rights outside it. Raises OSError."""
    os.umask(0o022)
    # This covers /tmp in this namespace until pivot_root, so the host needs no folder for it.
    _fresh("tmpfs", "/tmp")
    _fresh("tmpfs", "/tmp/root", data="mode=755,size=1g")
    os.mkdir("/tmp/root/.host")
    _call("pivot_root", "/tmp", "/tmp/root/.host")
    # A process with a changed root gets no user namespace; in Docker the seccomp filter refuses it.
    os.chroot("/root")
    for folder in ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc"):
        if os.path.islink(f"/.host{folder}"):
            os.symlink(os.readlink(f"/.host{folder}"), folder)
        elif os.path.isdir(f"/.host{folder}"):
            _bind(f"/.host{folder}", folder)
    _fresh("proc", "/proc", MS_NOEXEC)
    _fresh("sysfs", "/sys", MS_NOEXEC | MS_RDONLY)
    _fresh("tmpfs", "/dev", data="mode=755")
    _fresh("tmpfs", "/dev/shm", MS_NOEXEC, f"mode=1777,size={SHARED_BYTES}")
    _fresh("tmpfs", "/tmp", data="mode=1777,size=1g")
    for device in ("null", "zero", "full", "random", "urandom", "tty"):
        _bind(f"/.host/dev/{device}", f"/dev/{device}", True)
    for link, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        os.symlink(f"/proc/self/fd{target}", f"/dev/{link}")
    # As in Docker: root could change the whole machine with these, without any capability.
    for path in filter(os.path.exists, ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")):
        _bind(path, path)
    for target, source, writable in binds:
        _bind(f"/.host{source}", target, writable)
    for folder in ("/root", WORK_FOLDER):
        os.makedirs(folder, exist_ok=True)
    _call("umount2", "/.host", MNT_DETACH)
    os.rmdir("/.host")
    for capability in range(int(Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1):
        _call("prctl", PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    _call("capset", CAPABILITY_3.to_bytes(4, sys.byteorder) + bytes(4), bytes(24))
    _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # A change of user takes these two away.
    _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL)
    _call("prctl", PR_SET_DUMPABLE, 1)
    os.chdir(WORK_FOLDER)


def _init() -> int:
    """Process 1: make the container, run the command as tini does, give its exit code."""
    report, command, *place = json.load(sys.stdin)
    awaited = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}
    # Blocked, they wait for sigwait; otherwise the kernel drops what process 1 does not handle.
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    _enter(*place)
    codes: dict[int, int] = {}
    files = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_CLOSE, report)]
    usual = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    try:
        child = os.posix_spawnp(command[0], command, os.environ, file_actions=files, setsigmask=(), setsigdef=usual)
    except OSError as error:
        print(f"cannot run {command[0]}: {error.strerror}", file=sys.stderr)
        codes[child := 0] = 127 if isinstance(error, FileNotFoundError) else 126
    while child not in codes:
        if (number := signal.sigwait(awaited)) != signal.SIGCHLD:
            os.kill(child, number)
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                codes[ended[0]] = os.waitstatus_to_exitcode(ended[1])
    os.write(report, str(sum(name.isdigit() for name in os.listdir("/proc")) - 1).encode())
    return codes[child] if codes[child] >= 0 else 128 - codes[child]


if __name__ == "__main__":
    sys.exit(_init())
