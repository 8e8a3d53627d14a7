"""Oracles: the optimum of a stated objective on a small piece, with a bound and the gap."""
