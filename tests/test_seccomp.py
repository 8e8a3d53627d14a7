"""The filter's program, run by a small interpreter: what it answers to calls on both machines it knows."""

from __future__ import annotations

import errno
import os
import platform
import re
import struct
from pathlib import Path

import pytest

import honest
import without_landlock
from placement.isolation import landlock, seccomp

PROCESS = 4321
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Calls that every Python needs: read, write, openat, mmap, futex, exit_group, clock_nanosleep.
NEEDED = {"x86_64": (0, 1, 257, 9, 202, 231, 230), "aarch64": (63, 64, 56, 222, 98, 94, 115)}
DENIED, MISSING, UNFIT = (seccomp.ERROR | number for number in (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP))
# 64 bits, and the lowest byte first.
AUDIT_BITS = ("#define __AUDIT_ARCH_64BIT", "#define __AUDIT_ARCH_LE")
SINGLE = ("CLONE", "FCNTL", "IOCTL", "PRCTL", "MADVISE", "FUTEX", "CLOSE_RANGE", "MMAP")
machines = pytest.mark.parametrize(("machine", "column"), [("x86_64", 0), ("aarch64", 1)])


def verdict(machine: str, number: int, *arguments: int, audit: int | None = None) -> int:
    """What the filter returns for a call; arguments are unsigned 64-bit values."""
    values = [value % 2**64 for value in (*arguments, 0, 0, 0, 0, 0, 0)][:6]
    data = struct.pack("<IIQ6Q", number, MACHINES[machine] if audit is None else audit, 0, *values)
    program = list(struct.iter_unpack("<HBBI", seccomp.instructions(machine, PROCESS)))
    loaded = position = 0
    while True:
        code, if_true, if_false, value = program[position]
        position += 1
        if code == 0x06:
            return value
        if code == 0x20:
            (loaded,) = struct.unpack_from("<I", data, value)
        elif code == 0x54:
            loaded &= value
        else:
            held = {0x15: loaded == value, 0x35: loaded >= value, 0x45: loaded & value != 0}[code]
            position += if_true if held else if_false


@machines
def test_what_python_needs_is_allowed(machine: str, column: int) -> None:
    assert {verdict(machine, number) for number in NEEDED[machine]} == {seccomp.ALLOW}


@machines
def test_what_is_listed_is_denied(machine: str, column: int) -> None:
    numbers = [numbers[column] for numbers in seccomp.DENIED.values() if numbers[column] is not None]
    assert len(numbers) > 80 and len(set(numbers)) == len(numbers)
    assert {verdict(machine, number) for number in numbers} == {DENIED}


@machines
def test_another_machine_s_calls_end_the_process(machine: str, column: int) -> None:
    assert verdict(machine, NEEDED[machine][0], audit=0x40000003) == seccomp.KILL


@machines
@pytest.mark.parametrize("number", [seccomp.NEWEST + 1, 600, 0x40000000, 0x40000000 + 57, 2**32 - 1])
def test_unknown_numbers_and_those_of_other_interfaces_do_not_exist(machine: str, column: int, number: int) -> None:
    assert verdict(machine, number) == MISSING


@machines
def test_threads_can_be_started_and_processes_cannot(machine: str, column: int) -> None:
    clone = seccomp.CLONE[column]
    assert verdict(machine, clone, 0x3D0F00) == seccomp.ALLOW  # what pthread_create asks for
    assert {verdict(machine, clone, flags) for flags in (0, 17, 0x1200011, 0x4111, 0x10000000)} == {DENIED}
    # Memory, folder, descriptors, handlers and the process itself: a thread shares them all.
    for flag in (0x100, 0x200, 0x400, 0x800, 0x10000):
        assert verdict(machine, clone, 0x3D0F00 & ~flag) == DENIED
    assert verdict(machine, seccomp.CLOSE_RANGE[column], 3, 9, 2) == DENIED  # CLOSE_RANGE_UNSHARE
    assert {verdict(machine, seccomp.CLOSE_RANGE[column], 3, 9, flags) for flags in (0, 4)} == {seccomp.ALLOW}
    # A flag in the upper half is none.
    assert verdict(machine, clone, 0x10000 << 32) == DENIED
    assert {verdict(machine, numbers[column]) for numbers in seccomp.MISSING.values()} == {MISSING}


@machines
@pytest.mark.parametrize("listed", ["OWN_PROCESS", "OWN_SCHEDULING"])
def test_the_own_process_alone_can_be_changed_or_asked(machine: str, column: int, listed: str) -> None:
    for numbers in getattr(seccomp, listed).values():
        assert {verdict(machine, numbers[column], own) for own in (PROCESS, 0)} == {seccomp.ALLOW}
        refused = {verdict(machine, numbers[column], other) for other in (1, PROCESS + 1, -PROCESS, -1)}
        # As where the call is missing: the C library then tells a thread of its attributes all the same.
        assert refused == {MISSING if listed == "OWN_SCHEDULING" else DENIED}


@machines
@pytest.mark.parametrize(("name", "before"), [("kill", [PROCESS]), ("tgkill", [PROCESS, PROCESS + 2])])
def test_the_own_process_alone_can_be_sent_signals_and_not_to_go_on(
    machine: str, column: int, name: str, before: list[int]
) -> None:
    number = seccomp.SIGNALS[name][0][column]
    assert {verdict(machine, number, *before, signal) for signal in (0, 9, 10, 15, 17, 19)} == {seccomp.ALLOW}
    assert {verdict(machine, number, *before, signal) for signal in (18, 18 + 2**32)} == {DENIED}
    # 0 means the whole group to kill.
    assert {verdict(machine, number, other, 0) for other in (0, 1, PROCESS + 1, -PROCESS, -1)} == {DENIED}


@machines
def test_no_lock_asks_for_its_owner(machine: str, column: int) -> None:
    futex = seccomp.FUTEX[column]
    for ways in (0, 128, 256, 384):
        assert {verdict(machine, futex, 0, ways | kind) for kind in (0, 1, 3, 4, 5, 9, 10)} == {seccomp.ALLOW}
        assert {verdict(machine, futex, 0, ways | kind) for kind in (6, 7, 8, 11, 12, 13)} == {MISSING}


@machines
def test_room_on_the_disk_is_taken_by_writing_to_files_with_a_name_alone(machine: str, column: int) -> None:
    assert {verdict(machine, seccomp.UNSUPPORTED["fallocate"][column], 3, mode) for mode in (0, 1, 3)} == {UNFIT}
    # O_TMPFILE's folder is another bit on each machine.
    folder = {"x86_64": 0x10000, "aarch64": 0x4000}[machine]
    for numbers, position in seccomp.OPENS.values():
        if numbers[column] is not None:
            before = [0] * position
            assert verdict(machine, numbers[column], *before, folder | 0x400000 | os.O_RDWR) == UNFIT
            assert verdict(machine, numbers[column], *before, folder) == seccomp.ALLOW


@machines
def test_files_cannot_be_locked_or_watched_and_descriptors_can_be_asked_little(machine: str, column: int) -> None:
    fcntl, ioctl, prctl = seccomp.FCNTL[column], seccomp.IOCTL[column], seccomp.PRCTL[column]
    assert {verdict(machine, fcntl, 3, command) for command in (0, 1, 2, 3, 4, 1030)} == {seccomp.ALLOW}
    assert {verdict(machine, fcntl, 3, command) for command in (6, 7, 8, 10, 15, 37, 38, 1024, 1026, 1036)} == {DENIED}
    assert verdict(machine, ioctl, 3, 0x5401) == seccomp.ALLOW
    assert {verdict(machine, ioctl, 3, question) for question in (0x40086602, 0x5412, 0)} == {DENIED}
    assert {verdict(machine, prctl, option) for option in (2, 3, 15, 36, 38)} == {seccomp.ALLOW}
    assert {verdict(machine, prctl, option) for option in (1, 4, 22, 62, 0x59616D61)} == {DENIED}


@machines
def test_memory_that_could_stay_when_it_is_unmapped_cannot_be_made(machine: str, column: int) -> None:
    shared, private, anonymous, populate = 1, 2, 0x20, 0x8000
    kinds = {flags: verdict(machine, seccomp.MMAP[column], 0, 4096, 3, flags) for flags in
             (shared, private, private | anonymous, private | anonymous | populate)}  # fmt: skip
    assert set(kinds.values()) == {seccomp.ALLOW}
    for flags in (shared | anonymous, shared | anonymous | populate):
        assert verdict(machine, seccomp.MMAP[column], 0, 4096, 3, flags) == DENIED


@machines
def test_a_file_that_is_opened_for_reading_cannot_be_emptied(machine: str, column: int) -> None:
    for numbers, position in seccomp.OPENS.values():
        if numbers[column] is not None:
            before = [0] * position
            for flags in (0, 1, 2, os.O_WRONLY | os.O_TRUNC, os.O_RDWR | os.O_CREAT | os.O_TRUNC, os.O_CLOEXEC):
                assert verdict(machine, numbers[column], *before, flags) == seccomp.ALLOW
            assert verdict(machine, numbers[column], *before, os.O_TRUNC | os.O_CLOEXEC) == DENIED


@machines
def test_other_processes_clocks_cannot_be_read(machine: str, column: int) -> None:
    for numbers in seccomp.CLOCKS.values():
        assert {verdict(machine, numbers[column], clock) for clock in (0, 1, 2, 3, 4, 7)} == {seccomp.ALLOW}
        assert {verdict(machine, numbers[column], (~pid << 3) | 2) for pid in (1, PROCESS, 2**22)} == {DENIED}


@machines
def test_the_page_cache_cannot_be_steered(machine: str, column: int) -> None:
    advice = seccomp.MADVISE[column]
    assert {verdict(machine, advice, 0, 0, value) for value in (0, 1, 2, 4, 8, 14)} == {seccomp.ALLOW}
    assert {verdict(machine, advice, 0, 0, value) for value in (3, 9, 12, 20, 21, 22, 23, 25)} == {DENIED}


def installed(*headers: str) -> str:
    """The text of the first of the kernel's headers that is there; skips the test where none is."""
    for path in (Path("/usr/include") / header for header in headers):
        if path.is_file():
            return path.read_text()
    pytest.skip(f"none of {', '.join(headers)} in /usr/include")


def kernel_s_numbers(machine: str) -> dict[str, int]:
    """Each system call's number on a machine, from the headers; aarch64 has the generic ones."""
    if machine == "aarch64":
        return numbers_in(installed("asm-generic/unistd.h"), r"__NR(?:3264)?_(\w+)")
    # Where there is one folder of headers, it is this machine's.
    own = ["asm/unistd_64.h"] if platform.machine() == machine else []
    return numbers_in(installed("x86_64-linux-gnu/asm/unistd_64.h", *own), r"__NR_(\w+)")


def numbers_in(text: str, name: str) -> dict[str, int]:
    """The numbers that a header defines for names of a form."""
    return {found: int(number) for found, number in re.findall(rf"^#define {name}\s+(\d+)\b", text, re.MULTILINE)}


def landlock_calls(*numbers: int) -> dict[str, tuple[int, int]]:
    """Landlock's calls by name, whose numbers are the same on both machines."""
    names = ("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self")
    return {name: (number, number) for name, number in zip(names, numbers, strict=True)}


@machines
@pytest.mark.parametrize("whose", ["the sandbox's", "the attacks'"])
def test_the_numbers_are_the_kernel_s(machine: str, column: int, whose: str) -> None:
    known = kernel_s_numbers(machine)
    single = {name.lower(): getattr(seccomp, name) for name in SINGLE}
    described = {name: numbers for name, (numbers, _) in (seccomp.OPENS | seccomp.SIGNALS).items()}
    listed = seccomp.DENIED | seccomp.MISSING | seccomp.UNSUPPORTED | seccomp.CLOCKS | single | described
    listed |= seccomp.OWN_PROCESS | seccomp.OWN_SCHEDULING
    listed |= landlock_calls(landlock.CREATE_RULESET, landlock.ADD_RULE, landlock.RESTRICT_SELF)
    attacking = honest.CALLS | landlock_calls(*without_landlock.LANDLOCK)
    numbers = {name: pair[column] for name, pair in (listed if whose == "the sandbox's" else attacking).items()}
    # Calls that are newer than the headers, by their numbers, cannot be compared; every other name is one of theirs.
    newest = max(number for name, number in known.items() if name != "syscalls")
    compared = {name: number for name, number in numbers.items() if number is None or number <= newest}
    assert len(compared) > 50 and compared == {name: known.get(name) for name in compared}


def test_the_machines_are_the_kernel_s() -> None:
    machines_of_files = numbers_in(installed("linux/elf-em.h"), r"EM_(\w+)")
    bits, order = (int(installed("linux/audit.h").split(name)[1].split()[0], 16) for name in AUDIT_BITS)
    for machine, (_, number) in seccomp.MACHINES.items():
        assert number == machines_of_files[machine.upper()] | bits | order


def test_an_unknown_machine_gets_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp.platform, "machine", lambda: "riscv64")
    assert seccomp.deny() is False
