"""The simulator: replays expert-hotness traces against deployment tables. The rules, at its top, need numpy only."""

SIMULATOR_VERSION = "2.0.0"
