"""A run: the grid over processes, its progress, and the signed files that it leaves."""
