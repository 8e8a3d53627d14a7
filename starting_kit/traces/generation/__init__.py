"""Synthetic expert hotness: the shared-topics model, and the profiles that it is run with."""
