"""The versions of libraries that a policy may compute with, beside what placement's versions() state."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

LIBRARIES = ("scipy", "pandas", "numba")


def libraries() -> dict[str, str]:
    """The versions of LIBRARIES; none: not installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found
