"""The organizers' two secrets: signing.key signs results, trace.key seals the hidden traces."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from placement.errors import OrganizerError

NAMES = ("signing.key", "trace.key")
FORM = re.compile(r"[0-9a-f]{64}")


def make_keys(folder: Path) -> None:
    """Write a fresh key to each file, readable by its owner alone.

    Raises OrganizerError, before anything is written, when one of the files exists: what was sealed or signed with a
    lost key stays closed.
    """
    present = [name for name in NAMES if (folder / name).exists()]
    if present:
        lost = [name for name in NAMES if name not in present]
        next_step = f"restore {lost[0]} from your copy" if lost else "go on with these keys"
        raise OrganizerError(
            "keys are never overwritten",
            f"{folder} holds {', '.join(present)}" + f", but no {', '.join(lost)}" * bool(lost),
            "a folder without keys",
            f"{next_step}; to start anew, move the folder away and seal the traces again",
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in NAMES:
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")


def read_keys(folder: Path) -> dict[str, str]:
    """Both keys by file name, 64 lower-case hexadecimal characters each. Raises OrganizerError."""
    keys = {}
    for name in NAMES:
        try:
            text = (folder / name).read_bytes().strip().decode("ascii", "replace").lower()
        except OSError as error:
            raise OrganizerError(
                f"{folder / name} cannot be read",
                f"{type(error).__name__}: {error.strerror}",
                "a key made by `python tools/bundle.py keys`",
                "restore the key from your copy, or name its folder with --keys; if no trace was sealed yet, make keys",
            ) from None
        if not FORM.fullmatch(text):
            # The text is not shown: it may be most of a key.
            raise OrganizerError(
                f"{folder / name} holds no key",
                f"{len(text)} characters of another form",
                "64 hexadecimal characters",
                "restore the key from your copy",
            )
        keys[name] = text
    return keys
