"""Trace files: found, read or opened with a key, and compared with their manifest."""
