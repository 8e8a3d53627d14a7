"""The simulator: replays expert-hotness traces against deployment tables. Needs numpy only."""

SIMULATOR_VERSION = "1.0.0"
