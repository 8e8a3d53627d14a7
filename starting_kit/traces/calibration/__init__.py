"""Fitting a profile's parameters to published figures, and saying how far off each of them is."""
