"""Dumps of serving engines, read into hotness [iteration, layer, expert]."""
