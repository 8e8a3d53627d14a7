"""Where an attack is run: a copy of the program, one small trace, and the ways to start the program on them."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import learned
import stage
from placement.isolation import landlock
from placement.trace import trace_sha256

ATTACKS = Path(__file__).resolve().parent
ROOT = ATTACKS.parent.parent
CONTAINERS = ("platform", "unprivileged")
MODES = ("local", "platform", "unprivileged", "old-landlock", "without-landlock")
NOBODY = 65534
MODEL, DATASET, LAYERS, EXPERTS, WINDOW, ITERATIONS = "Tinymodel", "Secretset", 2, 4, 3, 14
KEY = "5ec2e7" * 10 + "cafe"
# Limits on what is to succeed, however busy the machine is; a run that hangs is ended after the longest.
PATIENCE = 60
LONGEST_RUN_SECONDS = 20 * PATIENCE


@dataclass
class Run:
    """What one attack left: the program's exit code and log, its results, and the folders around it."""

    name: str
    folder: Path
    exit_code: int | None = None
    log: str = ""
    seconds: float = 0.0
    left_behind: int = 0
    results: dict[str, Any] = field(default_factory=dict)
    companions: dict[str, bytes] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def got(self) -> str:
        """The verdict in a word, as in the table."""
        status = self.results.get("status", "nothing")
        cases = sorted({row["status"] for row in self.results.get("cases", [])} - {"ok"})
        return f"{status} ({', '.join(cases)})" if cases else status


def impossible(mode: str) -> str:
    """Why a mode cannot be run on this machine, in one sentence; empty if it can."""
    if sys.platform != "linux":
        return "the isolation is Linux's"
    if mode in CONTAINERS:
        from rehearsal import container

        return container.available()
    return ""


def without_landlock(mode: str) -> bool:
    """Whether the kernel lacks Landlock in this mode, or seems to."""
    return mode == "without-landlock" or not landlock.version()


@contextmanager
def world(mode: str) -> Iterator[Path]:
    """A temporary folder with a copy of the program and the traces; removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="attacks-"))
    try:
        folder.chmod(0o755)
        ignored = shutil.ignore_patterns("__pycache__", "keys")
        shutil.copytree(ROOT / "ingestion_program", folder / "program", ignore=ignored)
        if mode == "old-landlock":
            module = folder / "program" / "placement" / "isolation" / "landlock.py"
            first = "\n\n_version = version\n\n\ndef version():\n    return min(1, _version())\n"
            module.write_text(module.read_text() + first)
        # So that Python need not compile the program again for every attack.
        subprocess.run([sys.executable, "-m", "compileall", "-q", folder / "program"], check=True)
        (folder / "program" / "keys").mkdir()
        (folder / "program" / "keys" / "signing.key").write_text(KEY)
        entries = {}
        for name, values in hotness_by_name().items():
            path = folder / "traces" / f"{name}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, values)
            entries[name] = {"shape": list(values.shape), "sha256": trace_sha256(values)}
        (folder / "traces" / "manifest.yaml").write_text(yaml.safe_dump({"traces": entries}))
        yield folder
    finally:
        # Some submissions are nested too deeply for Python to remove.
        subprocess.run(["rm", "-rf", str(folder)], check=False)


def hotness_by_name() -> dict[str, np.ndarray]:
    """All traces: the one of all attacks, and the memoriser's two."""
    seen = {f"{learned.MODEL}/{dataset}": values for dataset, values in learned.hotness_by_dataset().items()}
    return {f"{MODEL}/{DATASET}": hotness()} | seen


def hotness() -> np.ndarray:
    """The trace of all attacks but the memoriser: int32 [iteration, layer, expert], uneven and with zeros."""
    random = np.random.default_rng(7)
    shape = (ITERATIONS, LAYERS, EXPERTS)
    return random.integers(0, 4, shape, np.int32) * random.integers(1, 40, EXPERTS, np.int32)


def grid_mapping(best_effort: bool, cases: int, call_seconds: float = PATIENCE) -> dict[str, Any]:
    """The content of the grid: one trace, one or two cases, little memory, far more time than honest policies need."""
    return {
        "name": "tiny",
        "sandbox": "best_effort" if best_effort else "required",
        "window": WINDOW,
        "latency": 0,
        "cost": {"balanced_compute_seconds": 60.0, "expert_bytes": 1000, "bandwidth_bytes_per_second": 10**6},
        "limits": {
            "start_seconds": PATIENCE,
            "call_seconds": call_seconds,
            "case_seconds": 5 * PATIENCE,
            "grid_seconds": 10 * PATIENCE,
            "memory_bytes": 2**29,
            "trace_memory_bytes": 2**30,
            "log_bytes": 65536,
        },
        "models": {MODEL: {"layers": LAYERS, "experts": EXPERTS}},
        "cases": [
            {"model": MODEL, "dataset": DATASET, "ep": [2]},
            {"model": MODEL, "dataset": DATASET, "ep": [3], "redundant_experts": 2},
        ][:cases],
    }


def stage_submission(name: str, folder: Path) -> None:
    """Copy or build an attack's submission; every folder with a policy.py gets the shared module too."""
    if (ATTACKS / name).is_dir():
        shutil.copytree(ATTACKS / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        folder.mkdir(parents=True)
    for place in (folder, *(path for path in folder.iterdir() if path.is_dir())):
        if (place / "policy.py").is_file() or (place is folder and name in stage.BUILDERS):
            shutil.copy(ATTACKS / "honest.py", place)
    if name in stage.BUILDERS:
        stage.BUILDERS[name](folder)


def link_module(source: str, target: str) -> None:
    """Link a module, and copy any other file: the grid is written anew, and the key is taken away."""
    (os.link if source.endswith((".py", ".pyc")) else shutil.copy2)(source, target)


def run_attack(name: str, world_folder: Path, mode: str, cases: int, call_seconds: float = PATIENCE) -> Run:
    """Stage one attack, run the ingestion program on it, and look at all that it left."""
    run = Run(name, world_folder / f"{name}-{cases}")
    run.folder.mkdir()
    # Where an attack may reach its program, it has a copy; elsewhere links will do, which cost the disk far less.
    copy = shutil.copy2 if without_landlock(mode) else link_module
    shutil.copytree(world_folder / "program", run.folder / "program", copy_function=copy)
    grid = grid_mapping(without_landlock(mode), cases, call_seconds)
    if name == learned.NAME:
        grid |= learned.GRID_PART
    (run.folder / "program" / "grid.yaml").write_text(yaml.safe_dump(grid))
    stage_submission(name, run.folder / "submission")
    for part in ("output", "tmp"):
        (run.folder / part).mkdir()
    places = [world_folder / "traces", run.folder / "program"]
    if name not in stage.BUILDERS:
        places.append(run.folder / "submission")
    before = [fingerprint(place) for place in places]
    began = time.monotonic()
    try:
        in_container(run, world_folder, mode) if mode in CONTAINERS else on_machine(run, world_folder, mode)
    except subprocess.TimeoutExpired:
        run.problems.append(f"did not end within {LONGEST_RUN_SECONDS} s")
    run.seconds = round(time.monotonic() - began, 1)
    # In a container Python's own resource tracker ends just after the program, or just with it.
    if run.left_behind > (mode in CONTAINERS):
        run.problems.append(f"{run.left_behind} processes were left")
    for place, known in zip(places, before, strict=True):
        if changed := sorted(set(known.items()) ^ set(fingerprint(place).items())):
            run.problems.append(f"{place.name} was changed: {changed[0][0]}")
    # Where this clone lies below /tmp, the container's /tmp has a mount point for its Python.
    clone = {ROOT.parts[2]} if ROOT.parts[:2] == ("/", "tmp") and mode in CONTAINERS else set()
    if left := sorted(set(os.listdir(run.folder / "tmp")) - clone):
        run.problems.append(f"left in the temporary folder: {left[:3]}")
    if (run.folder / "program" / "keys" / "signing.key").exists():
        run.problems.append("the key is still there")
    return run


def on_machine(run: Run, world_folder: Path, mode: str) -> None:
    """Run the program as a process of this machine."""
    wrapper = [sys.executable, str(ATTACKS / "without_landlock.py")] if mode == "without-landlock" else []
    program = run.folder / "program"
    options = {"submission": run.folder / "submission", "traces": world_folder / "traces"}
    options |= {"grid": program / "grid.yaml", "output": run.folder / "output"}
    command = [*wrapper, sys.executable, str(program / "ingestion.py"), "--jobs", "1"]
    command += [text for name, path in options.items() for text in (f"--{name}", str(path))]
    # A policy's environment keeps PATH: by this folder in it every process of this run is found again.
    marker = f"{os.environ.get('PATH', os.defpath)}:{run.folder}"
    environment = {"PATH": marker, "TMPDIR": str(run.folder / "tmp"), "LANG": "C.UTF-8", "HOME": "/root"}
    # numpy's second thread would only turn in circles while other attacks wait for a core.
    environment["OPENBLAS_NUM_THREADS"] = "1"
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=LONGEST_RUN_SECONDS)
        run.log, run.exit_code = output.decode("utf-8", "replace"), process.returncode
    finally:
        # A process that was killed with its parent may take a moment to go.
        patience = time.monotonic() + PATIENCE
        while (left := marked(marker)) and time.monotonic() < patience:
            os.sched_yield()
        run.left_behind = len(left)
        for number in left:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        process.wait()


def in_container(run: Run, world_folder: Path, mode: str) -> None:
    """Run the program as a worker does."""
    from rehearsal import container

    uid = NOBODY if mode == "unprivileged" else 0
    with suppress(OSError, shutil.Error):
        # The platform puts the submission's files into the output; those that a zip can hold.
        if run.name not in stage.BUILDERS:
            shutil.copytree(run.folder / "submission", run.folder / "output", dirs_exist_ok=True)
    if uid:
        places = [str(run.folder / part) for part in ("program", "submission", "output", "tmp")]
        subprocess.run(["chown", "-hR", f"{uid}:{uid}", *places], check=True)
    layout = {"program": "program", "submission": "ingested_program", "output": "output"}
    mounts = [container.Mount(run.folder / part, f"/app/{place}", True) for part, place in layout.items()]
    mounts += [container.Mount(run.folder / "tmp", "/tmp", True), container.Mount(world_folder / "traces", "/app/data")]
    command = ["python", "/app/program/ingestion.py", "--grid", "/app/program/grid.yaml", "--jobs", "1"]
    finished = container.run(command, mounts, uid=uid, timeout=LONGEST_RUN_SECONDS)
    run.log, run.exit_code, run.left_behind = (
        finished.stdout + finished.stderr,
        finished.returncode,
        finished.left_behind,
    )


def marked(marker: str) -> list[int]:
    """The processes that have this PATH, but for the dead."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"PATH={marker}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def fingerprint(folder: Path) -> dict[str, str]:
    """What must not change in a folder; the program may drop its key and compile its modules."""
    found = {}
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in ("__pycache__", "keys")]
        for name in [*folders, *files]:
            path = os.path.join(place, name)
            status = os.lstat(path)
            words = [stat.filemode(status.st_mode), *(() if stat.S_ISDIR(status.st_mode) else (status.st_mtime_ns,))]
            if stat.S_ISREG(status.st_mode):
                words.append(hashlib.sha256(Path(path).read_bytes()).hexdigest())
            words += [os.readlink(path)] if stat.S_ISLNK(status.st_mode) else os.listxattr(path)
            found[os.path.relpath(path, folder)] = " ".join(map(str, words))
    return found
