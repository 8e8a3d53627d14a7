"""The folder in which a policy may write: private to its case, limited in size, removed with it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

LARGEST_BYTES = 256 * 1024 * 1024
MOST_FILES = 1000
ALLOWED = f"at most {MOST_FILES} files and {LARGEST_BYTES} bytes"


class Scratch:
    """A fresh temporary folder; `remove` deletes it, whatever was put there."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="case-"))
        self._identity = self._look()

    def excess(self) -> str:
        """What is too much in the folder, or nothing; looks at no more files than are allowed."""
        files = held = 0
        if self._look() != self._identity:
            return "something else than the folder it was given"
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    files += 1
                    if files > MOST_FILES:
                        return f"more than {MOST_FILES} files"
                    with suppress(FileNotFoundError):
                        held += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError as error:
            return f"nothing that can be listed ({error.strerror})"
        return f"{held} bytes" if held > LARGEST_BYTES else ""

    def remove(self) -> None:
        """Delete the folder and all it holds, also folders that their maker closed."""
        if self._look() != self._identity:
            # Whatever a policy has put there may lead anywhere: only the name goes.
            with suppress(OSError):
                os.unlink(self.folder)
            return
        pending = [str(self.folder)]
        while pending:
            path = pending.pop()
            with suppress(OSError):
                os.chmod(path, stat.S_IRWXU)
                with os.scandir(path) as entries:
                    pending += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        with suppress(RecursionError):
            shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.exists():
            subprocess.run(["rm", "-rf", str(self.folder)], check=False)

    def _look(self) -> tuple[int, int] | None:
        try:
            status = os.lstat(self.folder)
        except OSError:
            return None
        # A link or a file may get the number of a folder that is gone.
        return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None
