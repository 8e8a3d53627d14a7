"""Raises the simulator's own errors, with statuses that no policy has."""

from placement.errors import OrganizerError, PolicyError


def rebalance(hotness, n_device, n_red_expert):
    if n_device == 2:
        raise PolicyError("data_unavailable", "x", "x", "x", "x")
    raise OrganizerError("x", "x", "x", "x")
