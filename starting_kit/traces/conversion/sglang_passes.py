"""Dumps of SGLang's expert distribution recorder in the modes per_pass and per_token."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from placement.errors import OrganizerError

from .counts import as_array, as_counts, float_note, rectangular
from .dump_files import key_of, read_dump
from .file_errors import kind_of
from .passes import Passes
from .physical import Fold, fold_of, slot_counts, to_logical
from .recording import Recording, counted

# The keys by which such a dump is known: a list of records, or its columns in an .npz without objects.
RECORDS = {"records", "global_physical_count", "topk_ids_of_layer"}
COLUMNS = ("forward_pass_id", "rank", "gatherer_key", "global_physical_count", "topk_ids_of_layer")
# The end of a file's name.
RANK = re.compile(r"_(\d{1,6})$")
MAP = "last_physical_to_logical_map"


def read_passes(files: list[Path], first: dict[str, Any], skip_incomplete: bool, allow_pickle: bool) -> Recording:
    """The passes of all files, one or more for each rank; first: the content of files[0]. Raises OrganizerError."""
    passes = Passes()
    known: np.ndarray | None = None
    tokens = False
    notes: list[str] = []
    silent: set[int] = set()
    for index, file in enumerate(files):
        dump = first if index == 0 else read_dump(file, allow_pickle)
        if len(files) > 1 and _is_empty(dump):
            notes.append(_about_silent(file, silent, skip_incomplete))
            continue
        mapping = as_array(key_of(dump, MAP, file.name), MAP, file.name, ("layer", "slot"))
        if known is not None and not np.array_equal(mapping, known):
            raise _other_map(mapping.shape, known.shape, file.name, files[0].name)
        known = mapping
        fold = fold_of(mapping, file.name)
        for place, record in _records(dump, file.name):
            number, rank = (_integer(record, key, place) for key in ("forward_pass_id", "rank"))
            counts = to_logical(_physical(record, fold, place), fold)
            notes += [note for note in _about_floats(record) if note not in notes]
            passes.add(number, rank, str(record.get("gatherer_key", "primary")), counts, place)
            tokens = tokens or "topk_ids_of_layer" in record
        dump.clear()  # frees the file's records, which the caller holds too
    ranks = len(passes.ranks())
    if not ranks:
        raise _wrong(
            "records has the wrong form", f"no record in {counted(len(files), 'file')}", "records", files[0].name
        )
    hotness, told = passes.take(skip_incomplete, silent)
    mode = "per_token" if tokens else "per_pass"
    form = f"SGLang expert distribution, mode {mode}, {counted(len(files), 'file')} of {counted(ranks, 'rank')}"
    notes.append(f"slots folded to experts with {MAP}: right only if no expert was moved while recording")
    return Recording(hotness, form, [*told, *notes])


def _is_empty(dump: dict[str, Any]) -> bool:
    """Whether a dump has the form of records, and none."""
    records = dump.get("records", dump.get("forward_pass_id"))
    return isinstance(records, (list, np.ndarray)) and np.ndim(records) > 0 and len(records) == 0


def _about_silent(file: Path, silent: set[int], skip_incomplete: bool) -> str:
    """The note on a file without a record, whose rank joins `silent`. Raises OrganizerError unless that is wanted."""
    named = RANK.search(file.stem)
    rank = f"rank {named[1]} by its name" if named else "of a rank that its name does not tell"
    if not skip_incomplete:
        raise OrganizerError(
            "a rank recorded nothing",
            got=f"no record: {rank}",
            expected="records of every rank",
            next_step="dump all ranks again, or give --skip-incomplete to go on without it: what it served is then not"
            " counted",
            where=file.name,
        )
    if named:
        silent.add(int(named[1]))
    return f"{file.name} holds no record ({rank}): left out, what that rank served is not counted"


def _about_floats(record: dict[str, Any]) -> list[str]:
    counts = np.asarray(record.get("global_physical_count", 0))
    return float_note(counts.dtype, int(counts.max())) if counts.size else []


def _records(dump: dict[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each record with its place. Raises OrganizerError when there is none, or one is no mapping."""
    if "records" in dump:
        records = dump["records"]
        if not isinstance(records, (list, np.ndarray)) or len(records) == 0:
            raise _wrong("records has the wrong form", "no record", "a list of records", where)
        for index, record in enumerate(records):
            place = f"{where}, records[{index}]"
            if not isinstance(record, dict):
                raise _wrong("a record has the wrong form", kind_of(record), "a mapping", place)
            yield place, record
        return
    key_of(dump, "forward_pass_id", where)
    columns = {key: rectangular(dump[key], key, where, ("record", "...")) for key in COLUMNS if key in dump}
    numbers = np.atleast_1d(columns["forward_pass_id"])
    if len(numbers) == 0:
        raise _wrong("forward_pass_id has the wrong form", "no record", "one number for each record", where)
    for index in range(len(numbers)):
        place = f"{where}, record {index}"
        for key, column in columns.items():
            if column.ndim and len(column) != len(numbers):
                raise _wrong(f"{key} has another length", str(len(column)), f"{len(numbers)} records", where)
        yield place, {key: column[index] if column.ndim else column[()] for key, column in columns.items()}


def _physical(record: dict[str, Any], fold: Fold, place: str) -> np.ndarray:
    """Tokens by slot [layer, slot]: counted by the recorder, by us from the tokens' slots, or by both alike."""
    recorded = counted_here = None
    shape = [fold.layers, fold.slots]
    if "global_physical_count" in record:
        what, axes = "global_physical_count", ("layer", "slot")
        recorded = as_counts(as_array(record[what], what, place, axes), f"{place}, {what}", axes, floats=True)
        if list(recorded.shape) != shape:
            raise _wrong(f"{what} does not fit the map", f"shape {list(recorded.shape)}", f"{shape}", place)
    if "topk_ids_of_layer" in record:
        counted_here = _count_tokens(record["topk_ids_of_layer"], fold, place)
    if recorded is None and counted_here is None:
        got = f"keys {', '.join(sorted(map(str, record)))}"
        raise _wrong("the record holds no counts", got, "global_physical_count or topk_ids_of_layer", place)
    if recorded is not None and counted_here is not None and not np.array_equal(recorded, counted_here):
        layer, slot = np.argwhere(recorded != counted_here)[0]
        got = f"global_physical_count {recorded[layer, slot]}, topk_ids_of_layer {counted_here[layer, slot]}"
        place = f"{place}, layer {layer}, slot {slot} (from 0)"
        raise _wrong("a record's counts contradict each other", got, "the same tokens in both", place)
    return recorded if recorded is not None else counted_here


def _count_tokens(value: Any, fold: Fold, place: str) -> np.ndarray:
    """Tokens by slot [layer, slot] of slot ids [layer, token, choice]; a rank may have had no token in a pass."""
    ids = rectangular(value, "topk_ids_of_layer", place, ("layer", "token", "choice"))
    if ids.size == 0 and len(ids) == fold.layers:
        return np.zeros((fold.layers, fold.slots), np.int64)
    if ids.ndim != 3 or len(ids) != fold.layers:
        got, expected = f"shape {list(ids.shape)}", f"[layer, token, choice] with {fold.layers} layers"
        raise _wrong("topk_ids_of_layer does not fit the map", got, expected, place)
    return slot_counts(ids, fold.slots, place)


def _integer(record: dict[str, Any], key: str, place: str) -> int:
    value = rectangular(key_of(record, key, place), key, place, ())
    if value.ndim or value.dtype.kind not in "iu" or value < 0:
        raise _wrong(f"{key} is not an integer from 0", repr(value.tolist()), "an integer from 0", place)
    return int(value)


def _other_map(shape: tuple[int, ...], known: tuple[int, ...], file: str, first: str) -> OrganizerError:
    if shape != known:
        got, expected = f"[layer, slot] {list(shape)}", f"{list(known)} as in {first}"
        next_step = "convert one recording at a time"
        if shape[1] == known[1]:
            next_step += "; files of a pipeline's stages are joined where each has the map of all layers"
        return OrganizerError("the dump is of another model", got, expected, next_step, file)
    return OrganizerError(
        "experts were moved while recording",
        got=f"another {MAP} than in {first}",
        expected="one map in all files: the maps of earlier passes are not in the dump",
        next_step="record again without --enable-eplb, or convert the dumps of each map by themselves, all ranks"
        " together; where each file has the layers of one stage alone, each becomes a trace of those layers",
        where=file,
    )


def _wrong(what: str, got: str, expected: str, where: str) -> OrganizerError:
    next_step = "compare the file with the form in starting_kit/traces/conversion/README.md, or dump again"
    return OrganizerError(what, got, expected, next_step, where)
