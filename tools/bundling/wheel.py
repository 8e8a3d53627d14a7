"""The package that opens sealed traces, pinned: the platform's image has it not, and its network may be off."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from commands.archive import unpack
from placement.errors import OrganizerError
from placement.evaluation.temporary import fresh_folder
from placement.traces.whole_file import write_whole


class Wheel(NamedTuple):
    """One file of a package registry."""

    requirement: str
    file: str
    sha256: str


PYCRYPTODOME = Wheel(
    "pycryptodome==3.23.0",
    "pycryptodome-3.23.0-cp37-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "c8987bd3307a39bc03df5c8e0e3d8be0c4c3518b7f044b0f4c15d1aa78f52575",
)
# What the compute worker's image is; --python-version is the image's, abi3 fits later ones too.
PLATFORM = ("--platform", "manylinux2014_x86_64", "--python-version", "312", "--implementation", "cp", "--abi", "abi3")
PATIENCE = 300


def vendored(wheel: Wheel, cache: Path) -> dict[str, bytes]:
    """The wheel's files below vendor/: the package without its tests and type stubs, and its licence.

    Raises OrganizerError when the wheel is neither in the cache nor to be had.
    """
    kept = {}
    for name, content in unpack(_fetch(wheel, cache)).items():
        top, _, rest = name.partition("/")
        about = top.endswith(".dist-info")
        if about and not rest.startswith(("LICENSE", "AUTHORS", "METADATA")):
            continue
        if rest.startswith("SelfTest/") or name.endswith((".pyi", "py.typed")):
            continue
        kept[f"vendor/{name}"] = content
    return kept


def _fetch(wheel: Wheel, cache: Path) -> bytes:
    path = cache / wheel.file
    if path.is_file() and _fits(data := path.read_bytes(), wheel):
        return data
    cache.mkdir(parents=True, exist_ok=True)
    with fresh_folder() as folder:
        requirements = folder / "requirements.txt"
        requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
        options = ("--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", *PLATFORM)
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", folder, "--requirement", requirements]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
            messages = (done.stderr or done.stdout).strip().splitlines() or [f"pip's exit code {done.returncode}"]
        except subprocess.TimeoutExpired:
            messages = [f"no answer of the package registry in {PATIENCE} s"]
        download = folder / wheel.file
        if not download.is_file() or not _fits(data := download.read_bytes(), wheel):
            raise OrganizerError(
                f"{wheel.requirement}, which opens sealed traces, cannot be downloaded",
                messages[-1],
                f"{path} with sha256 {wheel.sha256}",
                "connect to a package registry and build again, or copy that file there from elsewhere",
            )
    return write_whole(path, data)


def _fits(data: bytes, wheel: Wheel) -> bool:
    return hashlib.sha256(data).hexdigest() == wheel.sha256
