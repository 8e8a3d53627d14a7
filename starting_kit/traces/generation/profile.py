"""Profiles: the parameters of the shared-topics model, one YAML file per model and dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from placement.errors import OrganizerError
from placement.traces.whole_file import write_whole

FOLDER = Path(__file__).resolve().parents[1] / "profiles"
# Keys of a profile's file beside `parameters`.
HEAD = ("model", "dataset", "layers", "experts", "iterations", "source", "parameters")


@dataclass(frozen=True)
class Parameters:
    """What the model of `log_loads.py` and `counts.py` is drawn from; both state the formulas.

    Standard deviations and strengths are in units of log load, times in iterations, phases in periods. Raises
    ValueError for values that the model has no meaning for.
    """

    # Lasting popularity
    layer_sigma: float = 0.57
    layer_sigma_spread: float = 0.16
    popularity_skew: float = 0.02
    neighbour_correlation: float = 0.025
    neighbours: int = 32
    # Topics, and what experts do by themselves
    topics: int = 5
    topic_strength: float = 0.105
    topic_period: float = 1980.0
    topic_period_spread: float = 0.25
    topic_phase_spread: float = 0.35
    opening_strength: float = 1.0
    opening_decay: float = 1500.0
    cohort_strength: float = 0.03
    cohort_memory: float = 100.0
    own_drift: float = 0.04
    volatility_spread: float = 0.4
    # Regimes: the first iteration of each, and the part of its popularity that it shares with the others
    regimes: tuple[int, ...] = (0,)
    regime_common: tuple[float, ...] = (1.0,)
    # Sampling
    tokens_per_iteration: float = 1800.0
    token_spread: float = 0.05
    dispersion: float = 0.004
    top_k: int = 8
    iterations_per_weight: int = 16

    def __post_init__(self) -> None:
        if not isinstance(self.regimes, (list, tuple)):
            raise ValueError(f"regimes must be a list of iterations, got {self.regimes!r}")
        object.__setattr__(self, "regimes", tuple(self.regimes))
        if not isinstance(self.regime_common, (list, tuple)):
            raise ValueError(f"regime_common must be a list of real numbers, got {self.regime_common!r}")
        object.__setattr__(self, "regime_common", tuple(self.regime_common))
        for name, value in asdict(self).items():
            if name in ("regimes", "regime_common"):
                continue
            least = LEAST.get(name, 0.0)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < 2**31:
                raise ValueError(f"{name} must be a number of at least {least:g} and below 2^31, got {value!r}")
            if isinstance(least, int) and not isinstance(value, int):
                raise ValueError(f"{name} must be an integer, got {value!r}")
            if name in PARTS and value > 1:
                raise ValueError(f"{name} must lie in {least:g} .. 1, got {value}")
        if self.topic_period_spread == 1:
            raise ValueError("topic_period_spread must be below 1")
        starts = self.regimes
        if starts[:1] != (0,) or any(type(s) is not int for s in starts) or list(starts) != sorted(set(starts)):
            raise ValueError(f"regimes must be rising iterations that begin with 0, got {list(starts)}")
        parts = self.regime_common
        if len(parts) != len(starts) or any(type(part) is not float or not 0 <= part <= 1 for part in parts):
            raise ValueError(f"regime_common must be a part from 0.0 to 1.0 for each of regimes, got {list(parts)}")


# The least value of a parameter where it is not 0; integers here are integers in a profile.
LEAST = {"neighbours": 1, "topics": 1, "top_k": 1, "iterations_per_weight": 1}
LEAST |= {"topic_period": 1.0, "opening_decay": 1.0, "cohort_memory": 1.0, "tokens_per_iteration": 1.0}
LEAST |= {"popularity_skew": -1.0}
# Those that are at most 1.
PARTS = ("popularity_skew", "neighbour_correlation", "topic_period_spread")


@dataclass(frozen=True)
class Profile:
    """A model's shape, a dataset's parameters, and what they were fitted to."""

    model: str
    dataset: str
    layers: int
    experts: int
    iterations: int
    source: str
    parameters: Parameters

    @property
    def name(self) -> str:
        return f"{self.model}/{self.dataset}"

    def with_parameters(self, **changes: Any) -> Profile:
        """The same with some parameters changed. Raises ValueError."""
        return replace(self, parameters=replace(self.parameters, **changes))


def read_profile(path: Path) -> Profile:
    """Read a profile's file. Raises OrganizerError for anything that is not one."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return profile_from_mapping(content)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, TypeError) as error:
        got = " ".join(str(error).split())
        expected, next_step = (
            "a file as traces/profiles/README.md says",
            "correct it, or name one that ships, such as DS-R1/LmSys",
        )
        raise OrganizerError("the profile cannot be used", got, expected, next_step, f"profile {path}") from None


def profile_from_mapping(content: Any) -> Profile:
    """A profile from the content of its file. Raises ValueError."""
    if not isinstance(content, Mapping) or set(content) != set(HEAD):
        got = sorted(map(str, content)) if isinstance(content, Mapping) else content
        raise ValueError(f"exactly the keys {', '.join(HEAD)} are expected, got {got}")
    known = {field.name for field in fields(Parameters)}
    parameters = content["parameters"]
    if not isinstance(parameters, Mapping) or not set(parameters) <= known:
        unknown = sorted(map(str, set(parameters) - known)) if isinstance(parameters, Mapping) else parameters
        raise ValueError(f"parameters that the model does not have: {unknown}")
    for name in ("layers", "experts", "iterations"):
        if type(content[name]) is not int or content[name] < 1:
            raise ValueError(f"{name} must be a positive integer, got {content[name]!r}")
    for name in ("model", "dataset", "source"):
        if not isinstance(content[name], str) or not content[name]:
            raise ValueError(f"{name} must be a text, got {content[name]!r}")
    profile = Profile(**{**content, "parameters": Parameters(**parameters)})
    if profile.parameters.top_k > profile.experts:
        raise ValueError(
            f"top_k must be at most the number of experts, {profile.experts}, got {profile.parameters.top_k}"
        )
    return profile


def write_profile(path: Path, profile: Profile) -> None:
    """Write a profile's file, every parameter stated, numbers to four significant digits. Raises OSError."""
    parameters = {name: _rounded(value) for name, value in asdict(profile.parameters).items()}
    content = {name: getattr(profile, name) for name in HEAD[:-1]} | {"parameters": parameters}
    write_whole(path, yaml.safe_dump(content, sort_keys=False, width=110).encode("utf-8"))


def _rounded(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return float(f"{value:.4g}") if isinstance(value, float) else value
