"""What runs a container: Docker or Podman with the competition's image, or the kernel's namespaces alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from rehearsal import container
from rehearsal.container import Mount

CLIENTS = ("docker", "podman")
PATIENCE = 30
# Docker's own exit code when it could not start the container.
NOT_STARTED = 125


class Ended(NamedTuple):
    """A container that ended, or that was killed because it went on too long (exit code 1, as on the worker)."""

    exit_code: int
    seconds: float
    stdout: str
    stderr: str
    killed: bool = False


class Engine(Protocol):
    """Runs a command in a container of its own, as the worker does."""

    description: str

    def run(self, command: Sequence[str], mounts: Sequence[Mount], patience: float) -> Ended:
        """Run to the end, or for `patience` seconds. Raises RuntimeError when there is no container."""


class Client:
    """The command line of Docker or Podman, with the worker's options."""

    def __init__(self, name: str, image: str) -> None:
        self._name, self._image = name, image
        self.description = f"{name}, image {image}"

    def run(self, command: Sequence[str], mounts: Sequence[Mount], patience: float) -> Ended:
        """As Engine.run."""
        name = f"rehearsal-{uuid.uuid4().hex}"
        options = ["--rm", f"--name={name}", "--workdir=/app/program", "--network=none", "--userns=host"]
        options += ["--cap-drop=ALL", "--security-opt=no-new-privileges"]
        options += [f"--env={text}" for text in ("PYTHONUNBUFFERED=1", "http_proxy=", "https_proxy=")]
        for mount in mounts:
            options.append(f"--volume={mount.source.resolve()}:{mount.target}:{'rw' if mount.writable else 'ro'}")
        began = time.monotonic()
        try:
            done = subprocess.run(
                [self._name, "run", *options, self._image, *command],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=patience,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            # The client was killed, the container was not.
            subprocess.run([self._name, "kill", name], capture_output=True, check=False)
            return _killed(error, began)
        if done.returncode == NOT_STARTED:
            raise RuntimeError(f"{self._name} starts no container: {done.stderr.strip()}")
        return Ended(done.returncode, time.monotonic() - began, done.stdout, done.stderr)


class Namespaces:
    """rehearsal.container with an interpreter of this machine."""

    def __init__(self, python: Path, empty: Path) -> None:
        """empty: an empty folder. Raises subprocess.CalledProcessError and OSError for a Python that does not run."""
        self._python = python
        # The platform's image has no pycryptodome. An empty folder in its place is no package, so that the search
        # for one goes on to the bundle's own.
        code = (
            "from importlib.util import find_spec as f; print(*getattr(f('Crypto'), 'submodule_search_locations', ()))"
        )
        place = subprocess.run([python, "-I", "-c", code], check=True, capture_output=True, text=True).stdout.strip()
        self._masks = [Mount(empty, place)] if place else []
        self.description = f"plain namespaces (rehearsal.container) and {python}, for want of the platform's image"

    def run(self, command: Sequence[str], mounts: Sequence[Mount], patience: float) -> Ended:
        """As Engine.run."""
        began = time.monotonic()
        try:
            done = container.run(command, [*mounts, *self._masks], python=self._python, timeout=patience)
        except subprocess.TimeoutExpired as error:
            return _killed(error, began)
        return Ended(done.returncode, time.monotonic() - began, done.stdout, done.stderr)


def choose(image: str, python: Path, empty: Path) -> tuple[Engine | None, list[str]]:
    """The engine that comes nearest to the platform, None when there is none; and why better ones are not used."""
    notes = []
    for name in CLIENTS:
        if shutil.which(name) is None:
            notes.append(f"{name} is not installed")
        elif not _answers(name, "info"):
            notes.append(f"{name} does not answer `{name} info`")
        elif not _answers(name, "image", "inspect", image):
            notes.append(f"{name} has no image {image}; `{name} pull {image}` gets it, this command downloads nothing")
        else:
            return Client(name, image), notes
    if reason := container.available():
        return None, [*notes, reason]
    return Namespaces(python, empty), notes


def _answers(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _killed(error: subprocess.TimeoutExpired, began: float) -> Ended:
    texts = [os.fsencode(text or b"").decode("utf-8", "replace") for text in (error.stdout, error.stderr)]
    return Ended(1, time.monotonic() - began, *texts, killed=True)
