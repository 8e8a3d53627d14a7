"""The packages of the image in which policies run, as image_packages.yaml lists them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from placement.traces.yaml_file import read_yaml

FILE = Path(__file__).parent / "image_packages.yaml"
# The image has the version that was current on the day on which it was built.
ANY = "any"


class Package(NamedTuple):
    """A package of the image: its name for pip, the modules that it brings, its version, ANY where none is pinned."""

    name: str
    modules: tuple[str, ...]
    version: str

    def installed(self) -> str:
        """The version that this machine has; empty where it has none."""
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
