"""YAML files of the organizer's: the grid and the traces' manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ..errors import OrganizerError


def read_yaml(path: Path, name: str) -> Any:
    """Read a YAML file of the organizer's. Raises OrganizerError."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise OrganizerError(
            f"the {name} cannot be read",
            got=f"{type(error).__name__}: {' '.join(str(error).split())}",
            expected=f"a YAML file {path}",
            next_step="correct the path or the file",
            where=name,
        ) from None
