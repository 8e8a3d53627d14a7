"""The folder in which a policy may write: private to the case, limited in size, removed with the case."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from .nameless import nameless_bytes
from .removal import remove_folder

LARGEST_BYTES = 256 * 1024 * 1024
MOST_FILES = 1000
ALLOWED = f"at most {MOST_FILES} files and folders, and {LARGEST_BYTES} bytes"


class Scratch:
    """A fresh temporary folder; `remove` deletes it with any content.

    The folder lies in an outer folder, which is shut while the policy stands still: other policies can ask whether a
    path exists, because Landlock does not restrict such questions.
    """

    def __init__(self) -> None:
        self._outer = Path(tempfile.mkdtemp(prefix="case-"))
        # By descriptor: where the kernel lacks Landlock, a policy may put a link in the folder's place.
        self._door = os.open(self._outer, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.folder = self._outer / "scratch"
        self.folder.mkdir(mode=stat.S_IRWXU)
        self._identity = self._look()
        # Set back, so that every later change shows: a clock of the kernel's stands still for some milliseconds.
        made = self.folder.stat().st_mtime_ns - 10 * 10**9
        os.utime(self.folder, ns=(made, made))
        self._unchanged = self.folder.stat().st_mtime_ns

    def open(self) -> None:
        """Make the folder reachable."""
        os.fchmod(self._door, stat.S_IRWXU)

    def shut(self) -> None:
        """Make the folder unreachable for all but root."""
        os.fchmod(self._door, 0)

    def excess(self, process: int) -> str:
        """What is too much in the folder and its subfolders, in words; "" for nothing. At most as many names as allowed
        are read.

        process: writes there and must stand still, because names that change during the count are missed.
        """
        if self._look() != self._identity:
            return "another object in the place of the folder"
        try:
            # Most policies never write, and a look into their process takes far longer than one into the folder.
            written = self.folder.stat().st_mtime_ns != self._unchanged
            return self._counted(nameless_bytes(process, self.folder) if written else 0)
        except OSError as error:
            return f"a folder that cannot be listed ({error.strerror})"

    def remove(self) -> None:
        """Delete the folder with all content, also folders that the policy closed."""
        self.open()
        os.close(self._door)
        if self._outer.is_symlink():
            # Whatever a policy has put there may lead anywhere: only the name goes.
            with suppress(OSError):
                os.unlink(self._outer)
        remove_folder(str(self._outer))

    def _counted(self, nameless: int) -> str:
        count, held = 0, nameless + self.folder.lstat().st_blocks * 512
        pending = [str(self.folder)]
        while pending:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    count += 1
                    if count > MOST_FILES:
                        return f"more than {MOST_FILES} files and folders"
                    status = entry.stat(follow_symlinks=False)
                    held += status.st_blocks * 512
                    if stat.S_ISDIR(status.st_mode):
                        _check_open(status.st_mode)
                        pending.append(entry.path)
        removed = f" ({nameless} of them in removed files that are still in use)" if nameless else ""
        return f"{held} bytes{removed}" if held > LARGEST_BYTES else ""

    def _look(self) -> tuple[int, int] | None:
        try:
            status = os.lstat(self.folder)
        except OSError:
            return None
        # A link or a file may get the number of a folder that is gone.
        return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None


def _check_open(mode: int) -> None:
    # Root lists a closed folder, another user does not: the verdict must be the same.
    if ~mode & (stat.S_IRUSR | stat.S_IXUSR):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
