"""Guesses the form of a dump from the names of its files and the content of the first files."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from placement.errors import OrganizerError

from . import atom, megatron, mindie, omni, trtllm, vllm_load
from .ascend import KEYS as LOADS
from .count_table import is_table
from .dump_files import names_of, read_json
from .inputs import natural, nothing_in
from .json_lines import objects_in
from .plain_array import KEY as HOTNESS
from .plain_array import load_array
from .routed_arrays import KEY as ROUTED
from .routed_arrays import OF_PROMPT
from .routed_lines import IDS as LINE_IDS
from .sglang_passes import RECORDS
from .stacked_requests import is_stacked
from .step_lines import IDS as STEP_IDS
from .step_lines import STEPS
from .torch_files import read_torch

# Lines looked at: the first may be about the run.
FIRST = 50
STAT = "logical_count"
ANSWER = {ROUTED, OF_PROMPT, "meta_info", "choices", "outputs"}
SNAPSHOT = {vllm_load.SNAPSHOTS, vllm_load.WINDOW, vllm_load.LATEST}
# As many are no choices of a token.
FEW = 32
# No model has as many layers.
DEEP = 128


class Guess(NamedTuple):
    """A form that a dump may have, and the reason."""

    form: str
    because: str


def guesses(paths: Sequence[Path]) -> list[Guess]:
    """The forms that the inputs may have, each once; none where nothing is known.

    What a name tells goes before what a file holds. Raises OrganizerError for a path that is not there, and where
    nothing but a file that cannot be read is there.
    """
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            got, next_step = "nothing", "correct the path"
            raise OrganizerError(f"there is no file {path}", got, "a file or a folder of them", next_step, "input")
        inside = sorted(path.iterdir(), key=lambda file: natural(file.name)) if path.is_dir() else [path]
        found = [file for file in inside if file.is_file()]
        if inside and not found:
            raise nothing_in(path, "files of a dump")
        files += found
    named = [guess for file in files if (guess := _of_name(file.name))]
    if not named:
        firsts = {file.suffix: file for file in reversed(files)}
        unread: OrganizerError | None = None
        for suffix, file in sorted(firsts.items()):
            alone = sum(other.suffix == suffix for other in files) == 1
            try:
                named += [Guess(form, f"{file.name} {because}") for form, because in _of_content(file, alone)]
            except OrganizerError as error:
                unread = unread or error
        if unread and not named:
            raise unread
    first: dict[str, Guess] = {}
    for guess in named:
        first.setdefault(guess.form, guess)
    return list(first.values())


def _of_name(name: str) -> Guess | None:
    patterns = {"megatron": megatron.TRACE, "trtllm": trtllm.COUNTS, "mindie": mindie.NAME, "omni": omni.NAME}
    for form, pattern in patterns.items():
        if pattern.fullmatch(name):
            return Guess(form, f"{name} is there")
    # The names of the lines beside them are others', too.
    if name == atom.COUNTS:
        return Guess("atom", f"{name} is there")
    return Guess("vllm-ascend", f"{name} is there") if name.startswith("moe_load") else None


def _of_content(file: Path, alone: bool) -> list[tuple[str, str]]:
    """Forms, each with what the file has; alone: no other file of its kind is there. Raises OrganizerError."""
    if file.suffix == ".pt":
        content = read_torch(file)
        return _of_keys(content) if isinstance(content, dict) else [("vllm-ascend", "holds a tensor")]
    if file.suffix == ".npz":
        return _of_arrays(file, alone)
    if file.suffix == ".npy":
        return _of_shape(load_array(file).shape, alone)
    if file.suffix == ".json":
        return _of_json(read_json(file))
    if file.suffix == ".jsonl":
        return _of_lines(file)
    with open(file, encoding="utf-8-sig", errors="replace") as lines:
        if file.suffix == ".csv" and is_table(lines.readline()):
            return [("csv", "names iteration, layer, expert and count")]
        if file.suffix == ".log" and any(omni.LINE.search(line) for line in lines):
            return [("omni", "has lines of [dump activation]")]
    return []


def _of_keys(content: dict[str, Any]) -> list[tuple[str, str]]:
    keys = {str(key) for key in content}
    for form, known in (
        ("sglang", {STAT, *RECORDS}),
        ("adrs", {"load_history"}),
        ("vllm-load", SNAPSHOT),
        ("vllm", ANSWER),
        ("vllm-ascend", set(LOADS)),
    ):
        if found := sorted(known & keys):
            return [(form, f"has {found[0]}")]
    return []


def _of_arrays(file: Path, alone: bool) -> list[tuple[str, str]]:
    names = names_of(file)
    if found := _of_keys(dict.fromkeys(names)):
        return found
    if is_stacked(names):
        return [("vllm", f"has {names[0]} and lengths of requests")]
    if HOTNESS in names:
        return [("npy", f"has {HOTNESS}")]
    return _of_shape(load_array(file).shape, alone) if len(names) == 1 else []


def _of_shape(shape: Sequence[int], alone: bool) -> list[tuple[str, str]]:
    """What an array without a name may be: hotness, the choices of a request, a load of slots or of experts."""
    has = f"is an array {list(shape)}"
    if len(shape) == 3 and shape[-1] >= FEW and alone:
        if shape[0] >= DEEP:
            return [("npy", f"{has}, whose first axis is no model's layers and whose last no token's choices")]
        return [("npy", has), ("vllm-ascend", has)]
    forms = {2: ["vllm-ascend"], 3: ["npy", "vllm", "vllm-ascend"], 4: ["vllm-ascend"]}.get(len(shape), [])
    return [(form, has) for form in forms if alone or form != "npy"]


def _of_json(content: Any) -> list[tuple[str, str]]:
    if isinstance(content, dict):
        return _of_keys(content)
    first = content[0] if isinstance(content, list) and content else None
    if not isinstance(first, dict):
        return []
    if (ANSWER | SNAPSHOT) & set(first):
        return _of_keys(first)
    if not all(key.rpartition("_")[2].rpartition(".")[2].isdecimal() for key in first):
        return []
    # A request's passes after the prompt have a token each; a batch's have several.
    later = [step for step in islice(content, 1, FIRST) if isinstance(step, dict)]
    ids = [ids for step in later for ids in step.values() if isinstance(ids, (list, np.ndarray))]
    if max(map(len, ids), default=0) > 1:
        return [("steps", "is a list of passes, of several tokens each")]
    return [("vllm", "is a list of passes, of one token each after the first: a request")]


def _of_lines(file: Path) -> list[tuple[str, str]]:
    for fields, _ in islice(objects_in(file), FIRST):
        keys = set(fields)
        if megatron.LOADS in keys or {"top_indices", "stage"} <= keys:
            return [("megatron", f"has lines with {megatron.LOADS if megatron.LOADS in keys else 'top_indices'}")]
        if "moe_counts" in keys:
            return [("atom", "has lines with moe_counts")]
        if "layer" in keys and keys & set(STEP_IDS) and keys & set(STEPS):
            return [("steps", f"has lines with layer and {next(key for key in STEPS if key in keys)}")]
        if "layer" in keys and keys & set(LINE_IDS):
            return [("vllm", "has lines with a layer and a token's experts, without a step")]
        if found := _of_keys(fields):
            return found
    return []
