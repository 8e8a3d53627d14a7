"""A window on its way to a policy: every value, at every size, from every kind of trace, in memory of its own."""

import errno
import fcntl
import os
from types import SimpleNamespace

import numpy as np
import pytest

from placement.deployment import initial_deployment
from placement.grid import Case
from placement.isolation import handover as window
from placement.isolation import protocol
from placement.trace import LARGEST_HOTNESS, Trace

ODD = Case("m", "d", 3, 3, 1, 3, 5, 0)
# Several blocks and a part of one.
LONG = Case("m", "d", 2, 2, 2, 6, 2 * window.BLOCK + 5, 0)
START = 3
GET_SEALS = 1034
STORED = {
    "int32": lambda values: values.astype(np.int32),
    "column order": lambda values: np.asfortranarray(values.astype(np.int32)),
    "big-endian": lambda values: values.astype(">i4"),
    "int64": lambda values: values.astype(np.int64),
    "uint64": lambda values: values.astype(np.uint64),
    "uint8": lambda values: (values % 256).astype(np.uint8),
}


def draw(case):
    """Values [iteration, layer, expert] with zeros and the largest one, longer than the window on both sides."""
    values = np.random.default_rng(1).integers(0, 4, (START + case.window + 2, case.layers, case.experts))
    values[START, 0, 0] = values[START + case.window - 1, -1, -1] = LARGEST_HOTNESS
    return values


def table_of(case):
    return initial_deployment(case.layers, case.experts, case.devices)


def check_passes(case, stored, table):
    """Share a window that begins at START, receive it, and compare every value."""
    trace = Trace(stored)
    shared = window.share_window(trace, START, START + case.window), window.share_table(table)
    hotness, received = window.receive(case, *shared)
    expected = np.maximum(stored[START : START + case.window].astype(np.int64), 1)
    assert hotness.dtype == np.int32 and hotness.tolist() == expected.tolist()
    assert received.dtype == np.int64 and received.tolist() == table.tolist()


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("case", [ODD, LONG], ids=["odd", "long"])
def test_every_value_arrives_however_the_trace_is_stored(case, stored):
    check_passes(case, STORED[stored](draw(case)), table_of(case))


@pytest.mark.parametrize("case", [ODD, LONG], ids=["odd", "long"])
def test_every_value_arrives_by_way_of_a_file_where_there_is_no_shared_memory(monkeypatch, case):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    check_passes(case, draw(case), table_of(case))


@pytest.mark.parametrize("case", [ODD, LONG], ids=["odd", "long"])
def test_every_value_arrives_when_few_bytes_are_taken_at_a_time(monkeypatch, case):
    few = SimpleNamespace(write=lambda descriptor, data: os.write(descriptor, data[:7]))
    monkeypatch.setattr(protocol, "os", few)
    check_passes(case, draw(case), table_of(case))


@pytest.mark.parametrize("view", [np.asfortranarray, lambda table: np.repeat(table, 2, axis=2)[..., ::2]])
def test_a_table_need_not_lie_in_one_piece(view):
    table = view(table_of(LONG))
    assert not table.flags.c_contiguous
    check_passes(LONG, draw(LONG), table)


def test_arrays_are_writable_and_another_call_does_not_see_what_is_written():
    shared = window.share_window(Trace(draw(LONG)), 0, LONG.window), window.share_table(table_of(LONG))
    again = [os.dup(descriptor) for descriptor in shared]
    hotness, table = window.receive(LONG, *shared)
    before = hotness.copy(), table.copy()
    hotness[:], table[:] = 7, 7
    hotness, table = window.receive(LONG, *again)
    assert np.array_equal(hotness, before[0]) and np.array_equal(table, before[1])


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="only shared memory can be sealed")
def test_what_is_shared_can_be_neither_changed_nor_resized_nor_unsealed():
    descriptor = window.share_window(Trace(draw(ODD)), 0, ODD.window)
    try:
        assert fcntl.fcntl(descriptor, GET_SEALS) == 15
        with pytest.raises(PermissionError):
            os.write(descriptor, b"1")
    finally:
        os.close(descriptor)


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="only shared memory can be sealed")
@pytest.mark.parametrize(
    ("refusals", "number", "sealed"),
    [(2, errno.EBUSY, True), (window.SEAL_TRIES, errno.EBUSY, False), (1, errno.EINVAL, False)],
)
def test_memory_whose_pages_are_busy_is_sealed_a_little_later(monkeypatch, refusals, number, sealed):
    tries = []

    def add_seals(descriptor, command, *arguments):
        if command == window.ADD_SEALS:
            tries.append(descriptor)
            if len(tries) <= refusals:
                raise OSError(number, os.strerror(number))
        return fcntl.fcntl(descriptor, command, *arguments)

    monkeypatch.setattr(window, "fcntl", SimpleNamespace(fcntl=add_seals))

    def shared():
        return window.share_window(Trace(draw(ODD)), START, START + ODD.window)

    if sealed:
        descriptor = shared()
        assert fcntl.fcntl(descriptor, GET_SEALS) == window.ALL_SEALS
        os.close(descriptor)
    else:
        with pytest.raises(OSError, match=os.strerror(number)):
            shared()
        with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
            os.fstat(tries[0])
    assert len(tries) == min(refusals + sealed, window.SEAL_TRIES)


@pytest.mark.parametrize("memory", [True, False], ids=["shared memory", "file"])
def test_the_descriptor_is_closed_when_there_is_no_room(monkeypatch, memory):
    given = []

    def full(descriptor, data):
        given.append(descriptor)
        raise OSError(errno.ENOSPC, "No space left on device")

    if not memory:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr(window, "write_all", full)
    with pytest.raises(OSError, match="No space left"):
        window.share_window(Trace(draw(ODD)), 0, ODD.window)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(given[0])
