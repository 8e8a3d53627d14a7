"""The next step for the exceptions that a new participant meets most often."""

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
    "a policy may read its own folder and Python's libraries, write into the folder that TMPDIR names, and start "
    "threads; everything else is closed, such as other files, processes and sockets (page Policy, section State, "
    "modules and files)"
)
# Another version may have the name.
NUMPY_LACKS = re.compile(r"module 'numpy[\w.]*' has no attribute |cannot import name '\w+' from 'numpy")
# Rooms of the kit that a submission holds copies of, and what only its commands may import.
COPIED = ("planning", "adapters")
KIT = ("kit", "commands", "lab", "policies", "starting_kit")
DEBUGGER = ("bdb.py", "pdb.py")


def next_step(error: BaseException) -> str:
    """The next step for an exception; "" where the exception's text and line say everything."""
    text = readable(error)
    chain = list(_chain(error))
    if any(isinstance(part, OSError) and part.errno == errno.EXDEV for part in chain):
        return "copy the file with shutil.copyfile and remove the original; files cannot be moved between folders here"
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
            return "import from placement, planning or adapters; other parts of the kit are missing when a policy runs"
        if error.name in COPIED:
            return f"make the zip with kit.py pack, which adds the modules of {error.name} that a policy imports"
        # The package is there, or the error would name the package alone.
        if module:
            return "correct the module's name, or add the module; kit.py check lists what the platform has"
        return missing_module(error.name)
    if isinstance(error, (AttributeError, ImportError)) and NUMPY_LACKS.match(text):
        return (
            f"correct the name, or use a name of the platform's numpy {NUMPY}; kit.py check lists names that are newer"
        )
    if isinstance(error, ImportError) and text.startswith("attempted relative import"):
        return "import a module beside policy.py by its name, without a dot"
    if isinstance(error, FileNotFoundError):
        return "put the file beside policy.py, and name it relative to policy.py's folder, in which the policy runs"
    if (isinstance(error, EOFError) and text == "EOF when reading a line") or _in_debugger(error):
        return (
            "a policy cannot read from a keyboard; to stop here, use kit.py replay --call N --again, and remove the "
            "line before the upload"
        )
    if isinstance(error, SystemExit):
        return "remove calls that end the program, such as exit() and sys.exit()"
    if isinstance(error, (SyntaxError, ValueError)) and ("null bytes" in text or "(unicode error) 'utf-8'" in text):
        return "save the file as UTF-8"
    if isinstance(error, (AttributeError, TypeError)) and "'PolicyCase' object" in text:
        return f"use one of the attributes of case: {', '.join(field.name for field in fields(PolicyCase))}"
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
