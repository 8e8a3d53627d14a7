"""Hotness composed of recorded requests: topics that stay, drift or switch, on the routing of real tokens."""
