"""What fits a trace of any size, as the shipped grids have it: a window, and numbers of devices."""

from __future__ import annotations

# The official grid's window and numbers of devices.
LONGEST_WINDOW = 1024
EPS = (32, 64, 128, 256)
WINDOWS_OF_A_TRACE = 4


def fitting_window(iterations: int) -> int:
    """The largest power of two that fits four times into the iterations, at most LONGEST_WINDOW and at least 1."""
    return min(1 << max(iterations // WINDOWS_OF_A_TRACE, 1).bit_length() - 1, LONGEST_WINDOW)


def fitting_eps(experts: int) -> list[int]:
    """Those of EPS that divide the experts, or the four largest divisors where fewer than three do."""
    divisors = [ep for ep in range(2, experts + 1) if experts % ep == 0]
    usual = [ep for ep in divisors if ep in EPS]
    return usual if len(usual) > 2 else divisors[-len(EPS) :]
