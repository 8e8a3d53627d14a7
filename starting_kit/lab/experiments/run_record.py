"""What a run was: settings, versions, hashes and the seed, to be repeated from."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from placement.traces.whole_file import write_whole

PACKAGES = ("numpy", "scipy", "pandas", "PyYAML", "matplotlib")
# The kit's folder: the lab's code and the blocks that it plans with.
KIT = Path(__file__).resolve().parents[2]


def digest(path: Path) -> str:
    """The SHA-256 of a file, or of a folder's files with their names, in hexadecimal. Raises OSError."""
    folder = path.is_dir()
    return _digest_of(path, sorted(file for file in path.rglob("*") if file.is_file()) if folder else [path], folder)


def code_digest() -> str:
    """The SHA-256 of the lab's modules and of the planning blocks."""
    return _digest_of(KIT, sorted(file for room in ("lab", "planning") for file in (KIT / room).rglob("*.py")), True)


def _digest_of(folder: Path, files: Iterable[Path], named: bool) -> str:
    result = hashlib.sha256()
    for file in files:
        if named:
            result.update(f"{file.relative_to(folder).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                result.update(block)
    return result.hexdigest()


def versions() -> dict[str, str]:
    """The versions of Python and of the packages; "not installed" where one is missing."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def write_record(
    path: Path, settings: Mapping[str, object], traces: Iterable[Path], plan: Path, **more: object
) -> None:
    """Write the record as JSON: settings (the seed among them), versions, hashes of code, traces and plan.

    plan: the file that the run wrote; more: what was found. Raises OSError.
    """
    hashes = {"code": code_digest(), "traces": {str(trace): digest(trace) for trace in traces}, "plan": digest(plan)}
    kept = {name: _plain(value) for name, value in settings.items()}
    record = {"settings": kept, "versions": versions(), "sha256": hashes, **more}
    write_whole(path, (json.dumps(record, indent=2) + "\n").encode())


def _plain(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
