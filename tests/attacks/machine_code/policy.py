"""Calls the kernel from machine code of its own, past every library: fork, socket, ptrace."""

import ctypes
import mmap
import os
import platform

from honest import attempt, rebalance

__all__ = ["rebalance"]


def run(code):
    memory = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)
    memory.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    return ctypes.CFUNCTYPE(ctypes.c_long)(address)()


def raw(number, first=0, second=0):
    # mov eax, number; mov edi, first; mov esi, second; xor edx, edx; syscall; ret
    words = [value.to_bytes(4, "little") for value in (number, first, second)]
    result = run(b"\xb8" + words[0] + b"\xbf" + words[1] + b"\xbe" + words[2] + b"\x31\xd2\x0f\x05\xc3")
    if number == 57 and result == 0:
        os._exit(0)
    return None if result in (-1, -13, -38) else result


if platform.machine() == "x86_64":
    print("code runs:", raw(39) == os.getpid())
    for name, number, *arguments in (
        ("fork", 57),
        ("socket", 41, 2, 1),
        ("ptrace", 101, 0),
        ("kill", 62, os.getppid(), 0),
    ):
        attempt(name, lambda number=number, arguments=arguments: raw(number, *arguments))
    # Numbers of the x32 interface, which a filter by number alone would let through.
    for name, number, *arguments in (
        ("fork", 57),
        ("socket", 41, 2, 1),
        ("ptrace", 521, 0),
        ("kill", 62, os.getppid(), 0),
    ):
        attempt(f"x32 {name}", lambda number=number, arguments=arguments: raw(0x40000000 | number, *arguments))
