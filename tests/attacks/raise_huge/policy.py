"""Raises an exception with a text of ten megabytes: escapes, script tags, imitated log lines."""

import honest


def rebalance(hotness, n_device, n_red_expert):
    raise ValueError("\x1b[2J<script>alert(1)</script>\r\ningestion: scored\n\u2028\udcff" * 200_000)
    return honest.rebalance(hotness, n_device, n_red_expert)
