"""The next step for the exceptions that a participant who is new meets most."""

from __future__ import annotations

import errno
import re
import socket
import sys
import traceback
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from .exception_text import readable
from .instead import instead
from .interface import PolicyCase
from .missing_module import NUMPY, missing_module

# What isolation refuses looks like any other error of the system's.
FORBIDDEN = (
    "a policy reads its own folder and Python's libraries, writes only into the folder that TMPDIR names, starts no "
    "processes and opens no sockets; the page Policy, section State, modules and files, has the list"
)
# Another version may have the name.
NUMPY_LACKS = re.compile(r"module 'numpy[\w.]*' has no attribute |cannot import name '\w+' from 'numpy")
# Rooms of the kit that a submission holds copies of, and what only its commands may import.
COPIED = ("planning", "adapters")
KIT = ("kit", "commands", "lab", "policies", "starting_kit")
DEBUGGER = ("bdb.py", "pdb.py")


def next_step(error: BaseException) -> str:
    """What to do about an exception; nothing where its own words and its line say all there is."""
    text = readable(error)
    chain = list(_chain(error))
    if any(isinstance(part, OSError) and part.errno == errno.EXDEV for part in chain):
        return "copy the file with shutil.copyfile and remove the first; nothing moves from one folder to another"
    forbidden = any(isinstance(part, (PermissionError, socket.gaierror)) for part in chain)
    if (forbidden or any(isinstance(part, ImportError) for part in chain)) and (step := instead(chain)):
        return step
    if forbidden:
        return FORBIDDEN
    if isinstance(error, ModuleNotFoundError) and error.name:
        package, _, module = error.name.partition(".")
        if package in sys.stdlib_module_names | {"placement"}:
            return "correct the module's name"
        if package in KIT:
            return "import from placement, planning or adapters: no other part of the kit is there when a policy runs"
        if error.name in COPIED:
            return f"make the zip with kit.py pack, which takes along what a policy imports of {error.name}"
        # The package is there, or the error would name the package alone.
        if module:
            return "correct the module's name, or bring the module; kit.py check says what the platform has"
        return missing_module(error.name)
    if isinstance(error, (AttributeError, ImportError)) and NUMPY_LACKS.match(text):
        return f"correct the name, or use what numpy {NUMPY} has, the platform's; kit.py check names what is newer"
    if isinstance(error, ImportError) and text.startswith("attempted relative import"):
        return "import a module beside policy.py by its name, without a dot"
    if isinstance(error, FileNotFoundError):
        return "put the file beside policy.py, and name it relative to that folder, in which a policy runs"
    if (isinstance(error, EOFError) and text == "EOF when reading a line") or _in_debugger(error):
        return "nobody types here: stop at this call with kit.py replay --call N --again, and remove the line to upload"
    if isinstance(error, SystemExit):
        return "remove exits from the policy"
    if isinstance(error, (SyntaxError, ValueError)) and ("null bytes" in text or "(unicode error) 'utf-8'" in text):
        return "save the file as UTF-8"
    if isinstance(error, (AttributeError, TypeError)) and "'PolicyCase' object" in text:
        return f"use the attributes of case: {', '.join(field.name for field in fields(PolicyCase))}"
    return ""


def _in_debugger(error: BaseException) -> bool:
    return any(Path(frame.filename).name in DEBUGGER for frame in traceback.extract_tb(error.__traceback__))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    part: BaseException | None = error
    while part is not None and all(part is not other for other in seen) and len(seen) < 10:
        seen.append(part)
        yield part
        part = part.__cause__ or part.__context__
