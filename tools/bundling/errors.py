"""The error of a bundle that cannot be built."""

from __future__ import annotations


class BundleError(Exception):
    """What cannot be done, what was got, what was expected and what to do next."""

    def __init__(self, what: str, got: object, expected: str, next_step: str) -> None:
        super().__init__(f"{what}. Got: {got}. Expected: {expected}. Next: {next_step}.")
