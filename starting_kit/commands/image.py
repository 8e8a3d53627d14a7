"""The packages of the image in which policies run, read from image_packages.yaml."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from placement.traces.yaml_file import read_yaml

FILE = Path(__file__).parent / "image_packages.yaml"
# The image has the version that was current on the day on which it was built.
ANY = "any"


class Package(NamedTuple):
    """A package of the image: its name for pip, its modules, and its version (ANY where the image pins none)."""

    name: str
    modules: tuple[str, ...]
    version: str

    def installed(self) -> str:
        """The version installed on this machine; "" where the package is not installed."""
        try:
            return version(self.name)
        except PackageNotFoundError:
            return ""


def _read() -> tuple[str, tuple[Package, ...]]:
    content = read_yaml(FILE, "list of the image's packages")
    rows = content["packages"]
    return content["python"], tuple(Package(row["name"], tuple(row["modules"]), row["version"]) for row in rows)


PYTHON, PACKAGES = _read()
NUMPY = next(package for package in PACKAGES if package.name == "numpy")
