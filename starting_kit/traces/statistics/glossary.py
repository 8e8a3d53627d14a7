"""What each figure says, in a line: for --help, the page and the terminal's table."""

from __future__ import annotations

import textwrap

# Figures that every layer has, in the order of the tables.
LAYER_FIGURES = {
    "max_over_mean": "load of the hottest expert over the mean load (loads: sums over the trace)",
    "gini": "Gini coefficient of the loads: 0 when all are equal, near 1 when one expert has all",
    "zipf_slope": "fall of log load per log rank over the 64 hottest experts",
    "log_sigma": "standard deviation of the logarithm of the loads",
    "log_skewness": "skewness of the logarithm of the loads: positive when the hot tail is the longer one",
    "over_dispersion": "variance of the counts within 16 iterations over that of independent draws: 1 when equal",
    "over_dispersion_window": "the same within a window, where drift adds to it",
    "slow_sigma": "root of the load-weighted mean square of an expert's lasting relative deviations from its mean"
    " share; what differs between even and odd iterations is left out as noise",
    "half_window_tv": "total variation between neighbouring halves of windows, mean, as counted",
    "half_window_tv_excess": "the same without the part that independent draws give",
    "half_window_tv_largest": "total variation between neighbouring halves of windows, the largest, as counted",
}
# Figures of the trace and, beside each, of its shuffle null, in the order of the table.
DRIFT_FIGURES = {
    **{name: LAYER_FIGURES[name] for name in ("half_window_tv", "half_window_tv_excess")},
    "lasting": "part of the variance between blocks of 64 iterations that lasts and is no noise: slow variance over"
    " itself and the noise of half a block; it stays when shuffled as far as it lies in blocks of 16",
    "zero_lag": "iterations after which the autocorrelation of the slow part reaches zero; none when it stays above",
    "returning": "autocorrelation of the slow part at twice that lag: far below zero on a wave; none beyond its end",
    "together": "part of the slow variance in the first component, less that when every expert is shifted by a random"
    " time: about zero when experts move alone",
    "covariance_worth": "part by which PAR falls when a placement knows which experts are loaded together: learned in a"
    " window, measured in the next; beside a placement that knows the experts' own variances; eight experts a device,"
    " blocks of 16 iterations, no replicas",
}
# Figures of the trace as a whole, most of them against something.
TRACE_FIGURES = {
    "neighbours": "correlation of log loads between experts whose ids are 1 .. 32 apart; independent: -1 / (E - 1)",
    "total variation": "half the sum of differences between the shares of two blocks, against the iterations between"
    " them: as counted, what independent draws give (noise), and the root of the difference of their squares (excess)",
    "autocorrelation": "of single iterations' deviations from the mean shares (noise included, so it starts low), and"
    " of the slow part alone (noise removed)",
    "covariance spectrum": "part of the slow variance, all layers together, in the first 1, 3, 6, 10 components; beside"
    " it the same when every expert's deviations are shifted by a random time, which is what experts that move alone"
    " would give",
    "shuffled": "the same counts, each expert's blocks of 16 iterations in a random order of its own: order in time"
    " and what experts have in common are gone; what is left in a figure is noise, or how much single blocks vary."
    " Slow drift can be larger shuffled: blocks that were alike become neighbours of others",
    "families": "stationary: nothing moves beyond sampling; independent: each expert moves alone; requests: experts"
    " move together, as requests that prefer them come and go; profiles: experts move together on one wave, as the"
    " traces that kit.py generate makes. A trace whose regimes switch moves together, even where experts drift alone"
    " in between. The drift table says which figure speaks for which",
    "values of one": "part of the values that are one, zeros replaced by one among them",
}
BALANCE_FIGURES = {
    "static": "mean PAR of the initial deployment",
    "DS-EPLB": "mean PAR of DS-EPLB in global mode at the window, whole trace",
    "transmit": "DS-EPLB's transmit amount",
    "after first": "mean PAR of DS-EPLB, each layer from its first redeployment on",
    "noise floor 128": "mean PAR of DS-EPLB planned on the 128 iterations it is measured on",
    "packed": "granularity floor: mean PAR of DS-EPLB (replicas, longest processing time first) planned on the very"
    " iteration it is measured on; 64 iterations of the trace",
}


def help_text() -> str:
    """The figures as the epilog of --help, a few lines each."""
    groups = {"per layer": LAYER_FIGURES, "drift": DRIFT_FIGURES, "per trace": TRACE_FIGURES, "per ep": BALANCE_FIGURES}
    lines = []
    for heading, figures in groups.items():
        lines.append(f"{heading}:")
        for name, meaning in figures.items():
            lines += textwrap.wrap(f"{name}: {meaning}", 100, initial_indent="  ", subsequent_indent="      ")
    return "\n".join(lines)
