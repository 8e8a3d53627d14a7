"""The forms of placement files by name: how each is written, and how a file's form is recognized."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from placement.errors import Problem
from placement.traces.whole_file import write_whole
from placement.traces.yaml_file import parse_yaml

from . import sglang, trtllm, vllm_ascend
from .deepseek import deepseek_bytes, read_deepseek
from .npy import npy_bytes, read_npy
from .rows import Rows, wrong
from .sglang import read_sglang, sglang_text
from .trtllm import read_trtllm, trtllm_text
from .vllm import read_vllm, vllm_text
from .vllm_ascend import read_vllm_ascend, vllm_ascend_text

LARGEST_BYTES = 2**28
DAMAGED = "copy the file again, or write it again"


class Form(NamedTuple):
    """A form: how a file is written, the file's ending, and the option with which the engine starts from the file.

    numbered: whether the file has the model's layer numbers; apart: whether the engine forbids an expert twice on a
    device; use: words with {path} and {redundant}.
    """

    data: Callable[[np.ndarray, tuple[int, ...], int], bytes]
    suffix: str
    use: str
    numbered: bool = False
    apart: bool = False


FORMS = {
    "sglang": Form(
        sglang_text,
        ".json",
        "--init-expert-location {path} --ep-num-redundant-experts {redundant}",
        numbered=True,
    ),
    "vllm": Form(
        vllm_text,
        ".json",
        '--enable-eplb --eplb-config \'{{"initial_expert_map_path": "{path}", "num_redundant_experts": {redundant}}}\'',
    ),
    "trtllm": Form(trtllm_text, ".yaml", "moe_config: {{load_balancer: {path}}}", numbered=True),
    "vllm-ascend": Form(
        vllm_ascend_text,
        ".json",
        '--additional-config \'{{"eplb_config": {{"expert_map_path": "{path}"}}}}\'',
        apart=True,
    ),
    "deepseek": Form(deepseek_bytes, ".npz", "np.load('{path}') has phy2log, log2phy and logcnt"),
    "npy": Form(npy_bytes, ".npy", "np.load('{path}') is [layer, device, slot]"),
}


def write_placement(path: Path, form: str, table: np.ndarray, experts: int, numbers: tuple[int, ...] | None) -> None:
    """Write a deployment table, int [layer, device, slot], in one of FORMS.

    numbers: the model's, ascending, of each layer; needed where the form is numbered. Raises Problem and OSError;
    nothing is written then.
    """
    check_suffix(path, form)
    check_numbers(form, numbers, len(table))
    write_whole(path, FORMS[form].data(table, numbers or (), experts))


def layers_line(form: str, numbers: tuple[int, ...] | None) -> str:
    """The model's layers that a file of a form is for, in words; numbers: the model's number of each layer."""
    if numbers is None or not FORMS[form].numbered:
        return "layers: those with experts, in order"
    return f"layers: the model's {numbers[0]} to {numbers[-1]}, {len(numbers)} in all"


def usage_line(path: Path, form: str, redundant: int) -> str:
    """The engine's option to start from a file; redundant: slots of a layer beyond one per expert."""
    return FORMS[form].use.format(path=path.absolute(), redundant=redundant)


def check_suffix(path: Path, form: str) -> None:
    """Raise Problem unless a file's name has the ending that the engine needs."""
    if path.suffix != (suffix := FORMS[form].suffix):
        next_step = f"name the file {path.with_suffix(suffix).name}"
        raise Problem("the file's name has the wrong ending", path.name, f"{suffix} for {form}", next_step)


def check_numbers(form: str, numbers: tuple[int, ...] | None, layers: int) -> None:
    """Raise Problem unless the form's layer numbers are there, one for each layer."""
    if numbers is None and FORMS[form].numbered:
        got, expected = "none in the traces' manifest", f"the model's numbers of its {layers} layers with experts"
        next_step = f"give the numbers, as --layers 3-{layers + 2} where the model begins with three dense layers, or "
        next_step += f"--layers 0-{layers - 1} without dense layers"
        raise Problem(f"{form} needs the model's layer numbers", got, expected, next_step)
    if numbers is not None and len(numbers) != layers:
        got, expected = f"{len(numbers)} numbers", f"{layers}, one for each layer with experts"
        raise Problem("the layer numbers do not fit", got, expected, "correct --layers")
    if numbers is not None and list(numbers) != sorted(set(numbers)):
        got, expected = ", ".join(map(str, numbers[:6])), "ascending ones, as the layers stand in the model"
        raise Problem("the layer numbers are out of order", got, expected, "correct --layers")


def read_placement(path: Path) -> Rows:
    """Read a placement file in any of FORMS. Raises Problem and OSError."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
        if len(data) > LARGEST_BYTES:
            raise _too_large(path.stat().st_size)
        return _rows(data).at(path.name)
    except Problem as problem:
        raise problem.at(path.name) from None


def _rows(data: bytes) -> Rows:
    if data.startswith(b"\x93NUMPY"):
        return read_npy(_array(io.BytesIO(data)))
    if data.startswith(b"PK"):
        return _of_arrays(data)
    content = _content(data)
    if isinstance(content, list):
        return read_vllm(content)
    readers = {
        sglang.KEY: read_sglang,
        vllm_ascend.LAYERS: read_vllm_ascend,
        trtllm.KEY: read_trtllm,
    }
    found = [key for key in readers if isinstance(content, dict) and key in content]
    if len(found) == 1:
        return readers[found[0]](content)
    got = f"the keys {sorted(map(str, content))[:6]}" if isinstance(content, dict) else type(content).__name__
    if isinstance(content, dict) and "logical_count" in content:
        raise wrong(
            "the file holds loads, not a placement",
            got,
            "where experts lie",
            "make a trace from the file with kit.py convert",
        )
    raise wrong(
        "the file has none of the known forms",
        got,
        f"one of {', '.join(readers)}, or a list",
        "correct the file's form",
    )


def _of_arrays(data: bytes) -> Rows:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}
            if "phy2log" not in names:
                got = f"{sorted(archive.namelist())[:6]}"
                lab = "plan" in names
                next_step = "python -m lab export-placement writes a plan's" if lab else "save phy2log"
                raise wrong("the file has no array phy2log", got, "phy2log, log2phy and logcnt", next_step)
            keys = names & {"phy2log", "log2phy", "logcnt"}
            # What is compressed may be of any size.
            if (size := sum(archive.getinfo(f"{key}.npy").file_size for key in keys)) > LARGEST_BYTES:
                raise _too_large(size)
            arrays = {key: _array(io.BytesIO(archive.read(f"{key}.npy"))) for key in keys}
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise wrong("the file cannot be read", f"{type(error).__name__}: {error}", "a complete .npz", DAMAGED) from None
    return read_deepseek(arrays)


def _too_large(size: int) -> Problem:
    return wrong("the file is not a placement", f"{size} bytes", f"at most {LARGEST_BYTES}", "name a deployment's file")


def _array(file: io.BytesIO) -> np.ndarray:
    try:
        return np.load(file, allow_pickle=False)
    # NumPy raises many kinds for a damaged header.
    except Exception as error:
        line = (str(error).splitlines() or [""])[0]
        raise wrong("the array cannot be read", f"{type(error).__name__}: {line}", "integers without pickles") from None


def _content(data: bytes) -> Any:
    """The content of JSON, or else of YAML (ten times slower to read)."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        if data.lstrip()[:1] in (b"{", b"["):
            got = f"{type(error).__name__}: {error}"[:200]
            raise wrong("the file cannot be read", got, "complete JSON", DAMAGED) from None
    try:
        return parse_yaml(data, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except ValueError as error:
        raise wrong("the file cannot be read", str(error)[:200], "JSON, YAML, .npy or .npz", DAMAGED) from None
