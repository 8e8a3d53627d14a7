"""Holds more bytes in its scratch folder than it may, but not without any one of five ways to hold a file.

On a kernel without Landlock removed files are not counted: there nothing is removed.
"""

import ctypes
import mmap
import os

import honest

# Four of them and a mapping, which counts as 64, are more than 256; less one they are not.
MEGABYTES = 63
calls = []


def write(name):
    descriptor = os.open(f"{honest.scratch()}/{name}", os.O_CREAT | os.O_RDWR)
    for _ in range(MEGABYTES):
        os.write(descriptor, bytes(2**20))
    return descriptor


def files_are_closed():
    try:
        os.close(os.open("/proc/self/status", os.O_RDONLY))
    except PermissionError:
        return True


def remove(name):
    if files_are_closed():
        os.unlink(f"{honest.scratch()}/{name}")


def replace(name):
    if files_are_closed():
        os.close(os.open(f"{honest.scratch()}/empty", os.O_CREAT | os.O_WRONLY))
        os.rename(f"{honest.scratch()}/empty", f"{honest.scratch()}/{name}")


def map_page(descriptor):
    # By the C library: Python's own mapping would keep a descriptor.
    libc = honest._libc
    libc.mmap.restype = ctypes.c_void_p
    address = libc.mmap(
        None, ctypes.c_size_t(mmap.PAGESIZE), mmap.PROT_READ, mmap.MAP_PRIVATE, descriptor, ctypes.c_long(0)
    )
    assert address != 2**64 - 1


def rebalance(hotness, n_device, n_red_expert):
    if n_device == 2 and not calls:
        calls.append(1)
        os.close(write("named"))
        write("removed")
        remove("removed")
        write("replaced")
        replace("replaced")
        os.close(write("read"))
        os.open(f"{honest.scratch()}/read", os.O_RDONLY)
        remove("read")
        descriptor = write("mapped")
        map_page(descriptor)
        os.close(descriptor)
        remove("mapped")
    return honest.rebalance(hotness, n_device, n_red_expert)
