"""Removes a folder into which a policy has written."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress


def remove_folder(folder: str) -> bool:
    """Delete a folder and all it holds, also folders that were closed, or nested deeper than a path is long.

    Returns whether it is gone: it stays where it is no folder (a link is none), where somebody still writes into it,
    and where the system refuses.
    """
    # Inner folders are moved up before they are looked into, so that no path becomes long.
    token, pending = secrets.token_hex(8), [folder]
    for path in pending:
        with suppress(OSError):
            _open(path)
            with os.scandir(path) as entries:
                found = list(entries)
            for entry in found:
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        _open(entry.path)
                        moved = os.path.join(folder, f"{token}-{len(pending)}")
                        os.rename(entry.path, moved)
                        pending.append(moved)
                    else:
                        os.unlink(entry.path)
    for path in reversed(pending):
        with suppress(OSError):
            os.rmdir(path)
    return not os.path.lexists(folder)


def _open(path: str) -> None:
    # A closed folder cannot be listed, or moved to another place. What a link leads to is left as it is.
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        raise NotADirectoryError(path)
    os.chmod(path, stat.S_IRWXU)
