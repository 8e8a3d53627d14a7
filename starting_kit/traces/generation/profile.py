"""Profiles: the parameters of the shared-topics model, one YAML file per model and dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from placement.errors import OrganizerError
from placement.traces.whole_file import write_whole
from placement.traces.yaml_file import parse_yaml

FOLDER = Path(__file__).resolve().parents[1] / "profiles"
# Keys of a profile's file beside `parameters`.
HEAD = ("model", "dataset", "layers", "experts", "iterations", "source", "parameters")


@dataclass(frozen=True)
class Parameters:
    """The parameters that a trace is drawn from; the modules named below state the formulas.

    Standard deviations and strengths are in units of log load, times in iterations, phases in periods. Raises
    ValueError for values that are meaningless in the model.
    """

    # popularity.py
    layer_sigma: float = 0.57
    layer_sigma_spread: float = 0.16
    popularity_skew: float = 0.0
    neighbour_correlation: float = 0.025
    neighbours: int = 32
    # For each regime: the part of its popularity that it shares with the others, and how strong it is
    regime_common: tuple[float, ...] = (1.0,)
    regime_strength: tuple[float, ...] = (1.0,)
    # timing.py: the iterations in whose middle one regime gives way to the next, and how long that takes
    switches: tuple[int, ...] = ()
    switch_width: float = 200.0
    topic_period: float = 2000.0
    topic_period_spread: float = 0.1
    topic_strength: float = 0.15
    second_harmonic: float = 0.0
    third_harmonic: float = 0.0
    # timing.py: how far a seed moves them, each way; a part of the period, periods, iterations
    period_range: float = 0.1
    phase_range: float = 0.02
    switch_range: float = 100.0
    # shares.py
    topics: int = 5
    topic_alignment: float = 0.0
    own_drift: float = 0.05
    # Several, in a tuple, for independent.py alone: a profile's file has one
    own_memory: float | tuple[float, ...] = 60.0
    volatility_spread: float = 0.2
    # counts.py
    tokens_per_iteration: float = 3200.0
    token_spread: float = 0.05
    dispersion: float = 0.004
    top_k: int = 8

    def __post_init__(self) -> None:
        for name in LISTS:
            if not isinstance(getattr(self, name), (list, tuple)):
                raise ValueError(f"{name} must be a list, got {getattr(self, name)!r}")
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name, value in asdict(self).items():
            if name not in LISTS:
                several = name == "own_memory" and isinstance(value, tuple) and value
                for one in value if several else (value,):
                    _check_number(name, one, isinstance(DEFAULTS[name], int))
        for value in self.switches:
            _check_number("each of switches", value, whole=True)
        if list(self.switches) != sorted(set(self.switches)):
            raise ValueError(f"switches must rise, got {list(self.switches)}")
        for name in ("regime_common", "regime_strength"):
            values = getattr(self, name)
            if len(values) != len(self.switches) + 1:
                raise ValueError(
                    f"{name} must have {len(self.switches) + 1} values, one more than switches, got {values}"
                )
            for value in values:
                _check_number(name, value, whole=False)


DEFAULTS = {field.name: field.default for field in fields(Parameters)}
LISTS = ("switches", "regime_common", "regime_strength")
# The least and the largest value where they are not LEAST_AND_MOST.
LEAST_AND_MOST = (0, 1e9)
LIMITS = {
    **dict.fromkeys(("neighbours", "topics", "top_k", "tokens_per_iteration"), (1, 1e9)),
    **dict.fromkeys(("topic_period", "own_memory", "switch_width"), (1, 1e9)),
    **dict.fromkeys(("popularity_skew", "second_harmonic", "third_harmonic", "topic_alignment"), (-1, 1)),
    **dict.fromkeys(("neighbour_correlation", "regime_common"), (0, 1)),
    **dict.fromkeys(("topic_period_spread", "period_range"), (0, 0.999)),
    "phase_range": (0, 0.5),
}


def _check_number(name: str, value: Any, whole: bool) -> None:
    least, most = LIMITS.get(name, LEAST_AND_MOST)
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not least <= value <= most:
        kind = "an integer" if whole else "a number"
        raise ValueError(f"{name} must be {kind} from {least:g} to {most:g}, got {value!r}")


@dataclass(frozen=True)
class Profile:
    """A model's shape, a dataset's parameters, and the source of the fit."""

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
        """The profile with some parameters changed. Raises ValueError."""
        return replace(self, parameters=replace(self.parameters, **changes))


def read_profile(path: Path) -> Profile:
    """Read a profile's file. Raises OrganizerError for a file that is not a profile."""
    try:
        return profile_from_mapping(parse_yaml(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        got = " ".join(str(error).split())
        expected, next_step = (
            "a file as traces/profiles/README.md says",
            "correct the file, or name a shipped profile, such as DS-R1/LmSys",
        )
        raise OrganizerError("the profile cannot be used", got, expected, next_step, f"profile {path}") from None


def profile_from_mapping(content: Any) -> Profile:
    """A profile from the content of its file. Raises ValueError."""
    if not isinstance(content, Mapping) or set(content) != set(HEAD):
        got = sorted(map(str, content)) if isinstance(content, Mapping) else content
        raise ValueError(f"exactly the keys {', '.join(HEAD)} are expected, got {got}")
    parameters = content["parameters"]
    if not isinstance(parameters, Mapping) or not set(parameters) <= set(DEFAULTS):
        unknown = sorted(map(str, set(parameters) - set(DEFAULTS))) if isinstance(parameters, Mapping) else parameters
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
        return [_rounded(one) for one in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
