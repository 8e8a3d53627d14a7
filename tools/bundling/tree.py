"""Which files of the repository a bundle is made of: what git tracks, or, outside git, all but known junk."""

from __future__ import annotations

import subprocess
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from placement.errors import OrganizerError

JUNK = ("__pycache__", "*.pyc", "*.pyo", ".*", "*~", "*.swp", "*.orig", "*.rej", "*.bak", "*.part", "*.egg-info")
# How recordings and traces are stored. The tests' arrays belong to the repository.
ARRAYS = (".npy", ".npz", ".pt", ".pth", ".safetensors", ".parquet", ".sealed")
ARRAY_PLACES = ("sample_traces/", "reference_data/", "tests/")


class Tree:
    """The files of a repository; `left_out` are those that a build met and did not take."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.left_out: set[str] = set()
        self._tracked = _git_files(root)

    def files(self, *places: str) -> dict[str, bytes]:
        """Content by path (from the repository's top) of files and of everything in folders.

        Raises OrganizerError for a place without files, a file that is missing, and a link.
        """
        contents: dict[str, bytes] = {}
        for place in places:
            names = self._names(place)
            if not names:
                untracked = self._tracked is not None and (self.root / place).exists()
                got, next_step = (
                    ("files that git does not track", "git add them") if untracked else ("none", "restore it")
                )
                raise OrganizerError(f"{place} is missing", got, "files of the repository", next_step)
            contents |= {name: _read(self.root / name, name) for name in names}
        return contents

    def tracked_arrays(self) -> list[str]:
        """Arrays that git tracks where no sample trace and no reference lies: a hidden trace may be among them."""
        arrays = [name for name in self._tracked or () if PurePosixPath(name).suffix in ARRAYS]
        return sorted(name for name in arrays if not name.startswith(ARRAY_PLACES))

    def newer(self, seconds: float, *places: str) -> list[str]:
        """Files there that were written after a time, in seconds since 1970: a zip of that time has not what they hold
        now.
        """
        paths = {name: self.root / name for place in places for name in self._names(place)}
        return sorted(name for name, path in paths.items() if path.is_file() and path.stat().st_mtime > seconds)

    def _names(self, place: str) -> list[str]:
        path = self.root / place
        # A folder that is a link is read like a file, and thereby refused.
        if path.is_symlink() or not path.is_dir():
            present = [place]
        else:
            present = [p.relative_to(self.root).as_posix() for p in path.rglob("*") if not p.is_dir() or p.is_symlink()]
            present = [name for name in present if not is_junk(name)]
        if self._tracked is None:
            return sorted(present)
        tracked = {name for name in self._tracked if name == place or name.startswith(f"{place}/")}
        self.left_out |= set(present) - tracked
        return sorted(tracked)


def is_junk(name: str) -> bool:
    """Whether a path has a component that belongs to an editor, an interpreter or the system."""
    return any(fnmatch(component, pattern) for component in name.split("/") for pattern in JUNK)


def _git_files(root: Path) -> set[str] | None:
    """What git tracks, or None where the folder is not the top of a checkout or there is no git."""
    if not (root / ".git").exists():
        return None
    try:
        listing = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return set(listing.decode("utf-8").split("\0")) - {""}


def _read(path: Path, name: str) -> bytes:
    if path.is_symlink():
        raise OrganizerError(f"{name} is a link", f"a link to {path.readlink()}", "a file", "put the file itself there")
    try:
        return path.read_bytes()
    except OSError as error:
        got = f"{type(error).__name__}: {error.strerror}"
        # Who has replaced the sample traces took theirs away on purpose.
        gone = isinstance(error, FileNotFoundError)
        next_step = f"restore it, or git rm {name} where it is to go" if gone else "restore it"
        raise OrganizerError(f"{name} cannot be read", got, "a file of the repository", next_step) from None
