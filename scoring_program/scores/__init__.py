"""Scores: results compared with the reference, modeled runtime, columns."""
