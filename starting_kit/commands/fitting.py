"""Window and numbers of devices that fit a trace of any size, chosen as in the shipped grids."""

from __future__ import annotations

# The official grid's window and numbers of devices.
LONGEST_WINDOW = 1024
EPS = (32, 64, 128, 256)
WINDOWS_OF_A_TRACE = 4
# Of a full trace, whose cases the limits are for.
OFFICIAL_ITERATIONS = 6144


def fitting_window(iterations: int) -> int:
    """The largest power of two that fits four times into the iterations: at most LONGEST_WINDOW, at least 1."""
    return min(1 << max(iterations // WINDOWS_OF_A_TRACE, 1).bit_length() - 1, LONGEST_WINDOW)


def fitting_times(iterations: int) -> int:
    """How many full traces of the official grid cover the iterations, at least 1."""
    return max(1, -(-iterations // OFFICIAL_ITERATIONS))


def fitting_eps(experts: int) -> list[int]:
    """The members of EPS that divide the experts; the four largest divisors where fewer than three members do."""
    divisors = [ep for ep in range(2, experts + 1) if experts % ep == 0]
    usual = [ep for ep in divisors if ep in EPS]
    return usual if len(usual) > 2 else divisors[-len(EPS) :]
