"""A policy as a sweep runs it: its files, with some constants of policy.py set to other values."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from placement.errors import Problem
from placement.submission.contents import submission_files
from placement.submission.receipt import policy_sha256
from placement.traces.whole_file import write_whole

from .constants import constants, with_constants

# Of a folder's name; the hash behind it keeps names apart that are cut.
LONGEST_NAME = 60
DIGITS = 12
PLAIN = re.compile(r"[^A-Za-z0-9._=-]+")


@dataclass(frozen=True)
class Variant:
    """A policy's files by their names, whose hash is that of a submission of these files; values: by parameter.

    folder: where the policy lies, to run or export it by itself; a variant as it is stands where it was named.
    """

    policy: str
    values: Mapping[str, Any]
    files: Mapping[str, bytes] = field(repr=False)
    sha256: str
    folder: Path | None = field(default=None, compare=False)

    @property
    def parameters(self) -> str:
        """The parameters in one cell of a table; nothing for the policy as it is."""
        return ", ".join(f"{name}={value!r}" for name, value in self.values.items())

    @property
    def title(self) -> str:
        """The policy and its parameters, for messages."""
        return f"{self.policy} {self.parameters}".rstrip()


def variants(policy: str, folder: Path, parameters: Mapping[str, Sequence[Any]], written: Path) -> list[Variant]:
    """The policy at every combination of its parameters' values; those that it has no constant for do not count.

    folder: holds policy.py, as staged; written: takes a folder for each changed variant, to run or pack by itself.
    Raises Problem for a value of another kind than the constant's, SubmissionRefused and OSError.
    """
    files = {name: path.read_bytes() for name, path in submission_files(folder)[0].items()}
    source = (folder / "policy.py").read_text(encoding="utf-8") if parameters else ""
    found = constants(source)
    known = {name: values for name, values in parameters.items() if name.upper() in found}
    for name, values in known.items():
        for value in values:
            check_kind(policy, name, found[name.upper()].value, value)
    made = []
    for chosen in product(*({repr(value): value for value in values}.values() for values in known.values())):
        values = dict(zip(known, chosen, strict=True))
        if not values:
            made.append(Variant(policy, {}, files, policy_sha256(folder)))
            continue
        text = with_constants(source, {name.upper(): value for name, value in values.items()})
        changed = {**files, "policy.py": text.encode("utf-8")}
        plain = PLAIN.sub("_", "-".join([policy, *(f"{name}={value}" for name, value in values.items())]))
        digits = hashlib.sha256(repr((policy, values)).encode()).hexdigest()[:DIGITS]
        place = written / f"{plain[:LONGEST_NAME]}-{digits}"
        # An earlier sweep may have had other files for it.
        shutil.rmtree(place, ignore_errors=True)
        for name, content in changed.items():
            write_whole(place / name, content)
        made.append(Variant(policy, values, changed, policy_sha256(place), place))
    return made


def check_kind(policy: str, name: str, constant: Any, value: Any) -> None:
    """Raise Problem unless a number stands for a number, a text for a text, and so on; None may stand for anything."""
    if constant is None or value is None or _kind(constant) == _kind(value):
        return
    got, expected = f"{name}={value!r}", f"{_kind(constant)}, as {name.upper()} = {constant!r} in its policy.py"
    raise Problem(f"a parameter of {policy} has a value of another kind", got, expected, "correct --parameter")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "True or False"
    if isinstance(value, int | float):
        return "a number"
    return {str: "a text", tuple: "a tuple", list: "a list"}.get(type(value), type(value).__name__)
