"""TensorRT-LLM's expert statistics: a file of safetensors for each rank, a count of tokens for each pass and layer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from placement.errors import OrganizerError

from .dump_files import read_json
from .inputs import input_files
from .recording import Recording, counted
from .safetensors_file import read_safetensors
from .tally import Tally

META, SUFFIX = "meta_info.json", ".safetensors"
COUNTS = re.compile(r"rank(\d+)\.safetensors")
KEY = re.compile(r"(\d+)_(\d+)")


def read_trtllm(paths: Sequence[Path], skip_incomplete: bool) -> Recording:
    """The counts of all ranks' files, summed; of a folder the files of counts alone.

    skip_incomplete: see Tally.take. Raises OrganizerError.
    """
    files = input_files(paths, (SUFFIX,))
    counts = [file for file in files if COUNTS.fullmatch(file.name)]
    if not counts:
        got, expected = f"{files[0].name} the first", "rank0.safetensors, rank1.safetensors, ..."
        next_step = "name the files of counts; files named _raw or cooccurrence hold something else"
        raise OrganizerError("there is no file of counts", got, expected, next_step, "input")
    experts = _experts(counts[0].parent / META)
    tally, beside = Tally(), 0
    for file in counts:
        rank = int(COUNTS.fullmatch(file.name)[1])  # type: ignore[index]
        for key, values in read_safetensors(file).items():
            if "cooccurrence" in key:
                beside += 1
                continue
            match, where = KEY.fullmatch(key), f"{file.name}, {key}"
            if not match or values.ndim != 1:
                got = f"shape {list(values.shape)}"
                expected = "keys ITERATION_LAYER, each with one count for every expert"
                raise OrganizerError("the tensor is not a count", got, expected, "name another file", where)
            if experts not in (None, len(values)):
                got, expected = counted(len(values), "count"), f"{experts}, the num_experts of {META}"
                raise OrganizerError("the counts do not fit", got, expected, "use the folder of one run", where)
            tally.add(int(match[1]), int(match[2]), rank, values, where)
    hotness, layers, notes = tally.take(skip_incomplete)
    if experts is None:
        notes.append(f"no {META} beside the files: the number of experts is taken from the counts")
    if beside:
        notes.append(f"{counted(beside, 'tensor')} of cooccurrence left out")
    if len(counts) < len(files):
        notes.append(f"{counted(len(files) - len(counts), 'file')} left out: no counts (rankN{SUFFIX} has them)")
    return Recording(hotness, f"TensorRT-LLM expert statistic, {counted(len(counts), 'file')}", notes, layers)


def _experts(path: Path) -> int | None:
    """num_experts of meta_info.json, None where there is no such file."""
    if not path.is_file():
        return None
    content = read_json(path)
    experts = content.get("num_experts") if isinstance(content, dict) else None
    if type(experts) is not int or experts < 1:
        got, expected = f"num_experts {experts!r}", "an integer from 1"
        raise OrganizerError(
            "the run's description has the wrong form", got, expected, "copy the file again", path.name
        )
    return experts
