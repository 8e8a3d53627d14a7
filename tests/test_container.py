"""The container that stands in for the compute worker's."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import pytest

from rehearsal import container
from rehearsal.container import Mount, run

pytestmark = pytest.mark.skipif(bool(reason := container.available()), reason=reason)
NOBODY = 65534
PYTHON = "python"
# Only there to keep a broken container from hanging the tests.
PATIENCE = 300


def in_container(source: str, *mounts: Mount, **options: object) -> container.Finished:
    """What became of Python lines run in a container."""
    return run([PYTHON, "-c", source], mounts, **{"timeout": PATIENCE, **options})


def answer(source: str, *mounts: Mount, **options: object) -> str:
    """What Python lines that succeed print in a container."""
    finished = in_container(source, *mounts, **options)
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout.rstrip("\n")


def ways_to_python(folder: str, prefix: str = sys.prefix) -> set[str]:
    """The names in a folder on the way to this Python, or to its environment at a prefix: a container shows these."""
    places = (Path(prefix), Path(sys.base_prefix), Path(sys.executable).resolve())
    return {place.relative_to(folder).parts[0] for place in places if place.is_relative_to(folder)}


def is_free(lock: Path) -> bool:
    """Whether no process holds a lock on a file."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


# Starts a process that closes its output, locks /app/output/lock, and then never ends by itself; waits for the lock.
LEAVES_ONE_BEHIND = """
import fcntl, os, signal
ready, started = os.pipe()
if os.fork() == 0:
    os.setsid()
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    lock = open("/app/output/lock", "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.close(1)
    os.close(2)
    os.write(started, b"x")
    while True:
        signal.sigwait({signal.SIGUSR1})
os.read(ready, 1)
open("/app/output/started", "w").close()
"""


def test_output_and_exit_code_are_the_commands() -> None:
    finished = in_container("import sys; print('out'); print('caf\\u00e9', file=sys.stderr); sys.exit(7)")
    assert (finished.returncode, finished.stdout, finished.stderr) == (7, "out\n", "café\n")
    assert finished.left_behind == 0
    assert finished.args[:2] == [PYTHON, "-c"]


def test_output_that_is_no_text_is_replaced() -> None:
    assert answer("import os; os.write(1, bytes([255]))") == "\ufffd"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_signal_gives_128_and_its_number(number: signal.Signals) -> None:
    assert in_container(f"import os; os.kill(os.getpid(), {number:d})").returncode == 128 + number


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_process_1_passes_signals_on_to_the_command(number: signal.Signals) -> None:
    source = f"import os, signal; signal.signal({number:d}, signal.SIG_DFL); os.kill(1, {number:d}); signal.pause()"
    assert in_container(source).returncode == 128 + number


def test_the_callers_signals_groups_and_mask_do_not_matter() -> None:
    handler, groups, mask = signal.signal(signal.SIGHUP, signal.SIG_IGN), os.getgroups(), os.umask(0o077)
    os.setgroups([NOBODY])
    try:
        status = answer("print(open('/proc/self/status').read())")
        nobody = answer("import numpy; print('imported')", uid=NOBODY)
    finally:
        signal.signal(signal.SIGHUP, handler)
        os.setgroups(groups)
        os.umask(mask)
    fields = {name: value.strip() for name, value in (line.split(":", 1) for line in status.splitlines())}
    assert int(fields["SigIgn"], 16) & 1 << signal.SIGHUP - 1 == 0
    assert int(fields["SigBlk"], 16) == 0
    assert (fields["Groups"], fields["Umask"], nobody) == ("", "0022", "imported")


def test_process_1_cannot_be_killed_from_inside() -> None:
    assert answer("import os; os.kill(1, 9); print('alive')") == "alive"


@pytest.mark.parametrize("uid", [0, NOBODY])
def test_no_process_has_capabilities_or_can_gain_privileges(uid: int) -> None:
    ids = "\t".join([str(uid)] * 4)
    expected = {f"Cap{name}": f"{0:016x}" for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")}
    expected |= {"NoNewPrivs": "1", "Uid": ids, "Gid": ids, "Groups": ""}
    for process in (1, "self"):
        status = answer(f"print(open('/proc/{process}/status').read())", uid=uid)
        fields = {name: value.strip() for name, value in (line.split(":", 1) for line in status.splitlines())}
        assert {name: fields[name] for name in fields if name.startswith("Cap") or name in expected} == expected


@pytest.mark.parametrize("uid", [0, NOBODY])
def test_no_user_namespace_gives_capabilities_back(uid: int) -> None:
    finished = run(["unshare", "--user", "true"], [], uid=uid, timeout=PATIENCE)
    assert (finished.returncode, finished.stderr) == (1, "unshare: unshare failed: Operation not permitted\n")


def test_root_cannot_read_what_its_mode_forbids(tmp_path: Path) -> None:
    (tmp_path / "closed").write_text("secret")
    (tmp_path / "closed").chmod(0)
    finished = in_container("open('/app/data/closed')", Mount(tmp_path, "/app/data"))
    assert "PermissionError" in finished.stderr


@pytest.mark.parametrize("path", ["/proc/sys/kernel/core_pattern", "/sys/kernel/uevent_seqnum", "/usr/x", "/etc/x"])
def test_root_cannot_change_the_machine(path: str) -> None:
    assert "Read-only file system" in in_container(f"open({path!r}, 'a')").stderr


def test_there_is_no_network() -> None:
    source = """
import socket
print(*[name for _, name in socket.if_nameindex()], open("/sys/class/net/lo/operstate").read().strip())
for address in "127.0.0.1", "192.0.2.1":
    try:
        socket.create_connection((address, 80))
    except OSError as error:
        print(error.strerror)
"""
    assert answer(source).splitlines() == ["lo down", *["Network is unreachable"] * 2]


def test_the_environment_is_the_workers() -> None:
    source = "import os; print(sorted(os.environ.items())); print(os.getcwd()); print(os.umask(0o077))"
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
    expected = {"PATH": path, "HOME": "/root", "LANG": "C.UTF-8"}
    expected |= {"PYTHONUNBUFFERED": "1", "http_proxy": "", "https_proxy": ""}
    lines = [str(sorted(expected.items())), "/app/program", str(0o022)]
    assert answer(source).splitlines() == lines


def test_shared_memory_and_tmp_are_fresh_and_bounded() -> None:
    source = """
import os
for folder in "/dev/shm", "/tmp":
    size = os.statvfs(folder)
    open(f"{folder}/file", "x").close()
    print(size.f_blocks * size.f_frsize // 2**20, sorted(os.listdir(folder)))
"""
    # A checkout below /tmp may have its Python there.
    in_tmp = sorted({"file"} | ways_to_python("/tmp"))
    for uid in 0, NOBODY:
        assert answer(source, uid=uid).splitlines() == ["64 ['file']", f"1024 {in_tmp}"]


@pytest.mark.parametrize("uid", [0, NOBODY])
def test_devices_work(uid: int) -> None:
    source = """
import os
open("/dev/null", "w").write("x")
print(sorted(os.listdir("/dev")), os.read(0, 1))
print(open("/dev/zero", "rb").read(2), len(open("/dev/urandom", "rb").read(9)))
"""
    names = ["fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"]
    assert answer(source, uid=uid) == f"{names} b''\nb'\\x00\\x00' 9"


def test_only_own_processes_are_seen() -> None:
    source = "import os; print(os.getppid(), sum(name.isdigit() for name in os.listdir('/proc')))"
    assert answer(source) == "1 2"


def test_mounts_are_read_only_unless_writable(tmp_path: Path) -> None:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "given").write_text("given")
    (tmp_path / "one").write_text("one file")
    source = """
print(open("/app/data/given").read(), open("/app/program/deep/one").read())
open("/app/output/made", "w").write("made")
open("/app/data/made", "w")
"""
    finished = in_container(
        source,
        Mount(tmp_path / "out", "/app/output", writable=True),
        Mount(tmp_path / "in", "/app/data"),
        Mount(tmp_path / "one", "/app/program/deep/one"),
    )
    assert finished.stdout == "given one file\n"
    assert "Read-only file system: '/app/data/made'" in finished.stderr
    assert (tmp_path / "out" / "made").read_text() == "made"
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["given"]


def test_a_mount_inside_another_is_seen_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    (tmp_path / "outer" / "inner" / "file").write_text("outer")
    (tmp_path / "file").write_text("inner")
    mounts = [Mount(tmp_path / "file", "/app/data/inner/file"), Mount(tmp_path / "outer", "/app/data")]
    assert answer("print(open('/app/data/inner/file').read())", *mounts) == "inner"


def test_links_of_a_mount_lead_nowhere_outside(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "folder" / "up").symlink_to("../secret")
    source = "import os; print(*[os.path.exists(f'/app/data/{name}') for name in ('link', 'up')])"
    assert answer(source, Mount(tmp_path / "folder", "/app/data")) == "False False"


@pytest.mark.parametrize("uid", [0, NOBODY])
def test_the_hosts_other_folders_are_absent(uid: int, tmp_path: Path) -> None:
    source = f"""
import os
print(*sorted(os.listdir("/")))
print(*[os.path.exists(path) for path in ({str(Path(__file__).parent)!r}, {str(tmp_path)!r})])
"""
    expected = ways_to_python("/") | {"app", "dev", "proc", "root", "sys", "tmp"}
    expected |= {name for name in ("bin", "etc", "lib", "lib64", "sbin", "usr") if Path("/", name).exists()}
    assert answer(source, uid=uid).splitlines() == [" ".join(sorted(expected)), "False False"]


@pytest.mark.parametrize("uid", [0, NOBODY])
def test_python_and_its_packages_work(uid: int) -> None:
    source = "import os, sys, numpy; print(os.getuid(), os.getgid(), sys.prefix, numpy.arange(3).sum())"
    assert answer(source, uid=uid) == f"{uid} {uid} {sys.prefix} 3"
    command = [sys.executable, "-c", "import sys; print(sys.executable)"]
    assert run(command, [], uid=uid, timeout=PATIENCE).stdout.strip() == sys.executable


def test_another_python_can_be_had() -> None:
    base = Path(os.path.realpath(sys.executable))
    assert answer("import sys; print(sys.prefix == sys.base_prefix)", python=base) == "True"


def test_a_python_below_tmp_is_all_that_is_seen_there() -> None:
    source = "import os, sys; print(sys.prefix); print(*os.listdir('/tmp'))"
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        venv.create(folder)
        prefix, names = answer(source, python=Path(folder, "bin", "python")).splitlines()
        assert (prefix, set(names.split())) == (folder, ways_to_python("/tmp", folder))


def test_another_user_writes_where_the_caller_lets_him(tmp_path: Path) -> None:
    for name in ("his", "not"):
        (tmp_path / name).mkdir()
    os.chown(tmp_path / "his", NOBODY, NOBODY)
    mounts = [Mount(tmp_path / name, f"/app/{name}", writable=True) for name in ("his", "not")]
    finished = in_container("open('/app/his/file', 'x'); open('/app/not/file', 'x')", *mounts, uid=NOBODY)
    assert "PermissionError: [Errno 13] Permission denied: '/app/not/file'" in finished.stderr
    assert (tmp_path / "his" / "file").stat().st_uid == NOBODY


def test_a_process_left_behind_does_not_outlive_the_command(tmp_path: Path) -> None:
    finished = in_container(LEAVES_ONE_BEHIND, Mount(tmp_path, "/app/output", writable=True))
    assert (finished.returncode, finished.stderr, finished.left_behind) == (0, "", 1)
    assert is_free(tmp_path / "lock")


def test_ended_orphans_are_collected() -> None:
    source = """
import os
done, end = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os._exit(0)
    os._exit(0)
os.wait()
while [name for name in os.listdir("/proc") if name.isdigit()] != ["1", str(os.getpid())]:
    pass
"""
    assert in_container(source).left_behind == 0


def test_a_timeout_kills_all(tmp_path: Path) -> None:
    source = LEAVES_ONE_BEHIND + "print('out', flush=True)\nsignal.pause()\n"
    # However slow the machine is, one of these is enough for the start.
    for seconds in (1, 4, 16, 64, 256):
        with pytest.raises(subprocess.TimeoutExpired) as caught:
            in_container(source, Mount(tmp_path, "/app/output", writable=True), timeout=seconds)
        assert caught.value.cmd == [PYTHON, "-c", source]
        assert is_free(tmp_path / "lock")
        if (tmp_path / "started").exists():
            return
    pytest.fail("the command never started")


def test_a_timeout_at_the_start_is_one_too() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        in_container("import signal; signal.pause()", timeout=0)


def test_a_container_dies_with_its_caller(tmp_path: Path) -> None:
    # Both processes of the container hold the pipe open, so that its end tells that they are gone.
    source = f"""
import os
pipe = os.open("/app/output/pipe", os.O_WRONLY)
{LEAVES_ONE_BEHIND}
os.write(pipe, b"started")
signal.pause()
"""
    caller = f"""
from pathlib import Path
from rehearsal.container import Mount, run
run([{PYTHON!r}, "-c", {source!r}], [Mount(Path({str(tmp_path)!r}), "/app/output", writable=True)], timeout={PATIENCE})
"""
    os.mkfifo(tmp_path / "pipe")
    environment = os.environ | {"PYTHONPATH": str(Path(container.__file__).parents[1])}
    with open(os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as pipe:
        with subprocess.Popen([sys.executable, "-c", caller], env=environment) as process:
            started = select.select([pipe], [], [], PATIENCE)[0] and pipe.read()
            process.kill()
        assert started == b"started"
        assert select.select([pipe], [], [], PATIENCE)[0]
        assert pipe.read() == b""


def test_nothing_is_left_on_the_host(tmp_path: Path) -> None:
    def state() -> tuple[str, list[str], list[str]]:
        descriptors = os.listdir("/proc/self/fd")
        return Path("/proc/self/mountinfo").read_text(), sorted(os.listdir("/")), descriptors

    before = state()
    hostname = os.uname().nodename
    in_container("open('/tmp/file', 'x')", Mount(tmp_path, "/app/output", writable=True))
    assert state() == before
    assert os.uname().nodename == hostname
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        ("no-such-program", 127, "cannot run no-such-program: No such file or directory\n"),
        ("/app/program/gone", 127, "cannot run /app/program/gone: No such file or directory\n"),
        ("/etc/passwd", 126, "cannot run /etc/passwd: Permission denied\n"),
    ],
)
def test_a_command_that_cannot_be_run_is_named(command: str, code: int, text: str) -> None:
    finished = run([command], [], timeout=PATIENCE)
    assert (finished.returncode, finished.stdout, finished.stderr) == (code, "", text)


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no command"):
        run([], [])
    with pytest.raises(ValueError, match="not absolute"):
        run(["true"], [Mount(tmp_path, "app")])
    with pytest.raises(FileNotFoundError, match="gone"):
        run(["true"], [Mount(tmp_path / "gone", "/app")])
    with pytest.raises(FileNotFoundError, match="gone"):
        run(["true"], [], python=tmp_path / "gone")


def test_a_container_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="Read-only file system: '/usr/gone'"):
        run(["true"], [Mount(tmp_path, "/usr/gone")], timeout=PATIENCE)
    tmp_path.chmod(0)
    with pytest.raises(RuntimeError, match="Permission denied: '/app/program'"):
        run(["true"], [Mount(tmp_path, "/app/program")], uid=NOBODY, timeout=PATIENCE)
