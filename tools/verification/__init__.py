"""The steps of tools/verify.py, and the table of their results."""
