"""Sweeps: trusted policies on many cases at once, without the sandbox and without a grid file."""
