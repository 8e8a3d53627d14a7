"""Leaves bits for the next case by evicting some of its files from the page cache: what is still in it tells."""

import ctypes
import mmap
import os
import time

from honest import HERE, attempt, call, library, rebalance

__all__ = ["rebalance"]

BITS, PAGE_OUT = "0110100110010110", 21


def resident(descriptor):
    memory = mmap.mmap(descriptor, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE)
    address, page = ctypes.addressof(ctypes.c_char.from_buffer(memory)), ctypes.create_string_buffer(1)
    if call("mincore", address, mmap.PAGESIZE, ctypes.addressof(page)) != 0:
        raise OSError("no mincore")
    return page.raw[0] & 1


def read_at_once(descriptor):
    try:
        return os.preadv(descriptor, [bytearray(1)], 0, os.RWF_NOWAIT)
    except BlockingIOError:
        return 0


def quick(descriptor):
    began = time.perf_counter()
    os.pread(descriptor, 1, 0)
    return int(time.perf_counter() - began < 30e-6)


def found(ask):
    word = "".join(str(1 - ask(descriptor)) for descriptor in files)
    print("found", word)
    return word if word == BITS else None


def evict(descriptor):
    os.fsync(descriptor)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError:
        memory = mmap.mmap(descriptor, mmap.PAGESIZE, prot=mmap.PROT_READ)
        memory[0]
        memory.madvise(PAGE_OUT)


files = [os.open(f"{HERE}/page{number}", os.O_RDONLY) for number in range(len(BITS))]
attempt("mincore", lambda: found(resident))
attempt("RWF_NOWAIT", lambda: found(read_at_once))
attempt("time", lambda: found(quick))
for bit, descriptor in zip(BITS, files, strict=True):
    if bit == "1":
        attempt("evict", lambda descriptor=descriptor: evict(descriptor))
attempt("evict a library's page", lambda: evict(os.open(library(), os.O_RDONLY)))
