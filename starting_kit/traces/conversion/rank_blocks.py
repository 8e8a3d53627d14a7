"""What ranks wrote each for the slots of its own device, put side by side in order of the ranks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from placement.errors import OrganizerError

from .ranks import refuse_absent
from .recording import counted, ranges


def side_by_side(
    blocks: Mapping[int, Mapping[int, np.ndarray]], skip_incomplete: bool, noun: str
) -> tuple[np.ndarray, list[str]]:
    """int64 [iteration, layer, slot] of blocks[rank][iteration], integers [layer, slot of the device], and notes.

    skip_incomplete: leave out iterations that a rank did not record; noun: what the dump calls an iteration. Raises
    OrganizerError when there are such otherwise, when a rank is missing, and for layers that do not fit.
    """
    ranks = sorted(blocks)
    refuse_absent(ranks)
    every = sorted(set().union(*blocks.values()))
    kept = [number for number in every if all(number in blocks[rank] for rank in ranks)]
    lacking = sorted(set(every) - set(kept))
    if lacking and not skip_incomplete:
        rank = next(rank for rank in ranks if lacking[0] not in blocks[rank])
        got = f"no {noun} {lacking[0]} by rank {rank}; {len(lacking)} of {counted(len(every), noun)} are incomplete"
        next_step = "give every rank's file" + f", or --skip-incomplete to leave such {noun}s out" * bool(kept)
        raise _wrong(f"a {noun} was not recorded by every rank", got, f"each by ranks {ranges(ranks)}", next_step)
    if not kept:
        got, next_step = f"{counted(len(every), noun)}, each incomplete", "give every rank's file of one recording"
        raise _wrong("nothing is left", got, f"a {noun} recorded by every rank", next_step)
    shapes = {rank: {block.shape for block in blocks[rank].values()} for rank in ranks}
    layers = next(iter(shapes[ranks[0]]))[0]
    for rank in ranks:
        if len(shapes[rank]) > 1 or next(iter(shapes[rank]))[0] != layers:
            got = f"[layer, slot] {' and '.join(str(list(shape)) for shape in sorted(shapes[rank]))} of rank {rank}"
            expected = f"one shape for a rank, with {counted(layers, 'layer')} as rank {ranks[0]} has"
            raise _wrong("the ranks' counts do not fit together", got, expected, "give the files of one recording")
    hotness = np.array([np.concatenate([blocks[rank][number] for rank in ranks], axis=1) for number in kept])
    notes = [f"{noun} {kept[0]} .. {kept[-1]} in order, {counted(len(ranks), 'rank')} side by side"]
    if lacking:
        notes.append(f"incomplete and left out: {noun} {ranges(lacking)}")
    return hotness, notes


def _wrong(what: str, got: str, expected: str, next_step: str) -> OrganizerError:
    return OrganizerError(what, got, expected, next_step, "input")
