"""Profiles: what is refused, with which words, and what a file keeps."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from placement.errors import OrganizerError
from traces.generation.profile import (
    FOLDER,
    HEAD,
    LEAST_AND_MOST,
    LIMITS,
    LISTS,
    Parameters,
    Profile,
    profile_from_mapping,
    read_profile,
    write_profile,
)

TWO_REGIMES = {"switches": (20,), "regime_common": (0.25, 0.5), "regime_strength": (1.0, 0.5)}
PROFILE = Profile("M", "d", 3, 16, 40, "drawn by hand", Parameters(top_k=2, **TWO_REGIMES))
SHAPES = {"DS-R1": (58, 256, 6144), "Qwen3": (94, 128, 5120)}
NUMBERS = [field.name for field in fields(Parameters) if field.name not in LISTS]
INTEGERS = ["neighbours", "topics", "top_k"]


def content() -> dict[str, Any]:
    return {name: getattr(PROFILE, name) for name in HEAD[:-1]} | {"parameters": {"top_k": 2}}


def refusal(changes: dict[str, Any]) -> str:
    with pytest.raises(ValueError, match=r".") as refused:
        Parameters(**changes)
    return str(refused.value)


def mapping_refusal(mapping: Any) -> str:
    with pytest.raises(ValueError, match=r".") as refused:
        profile_from_mapping(mapping)
    return str(refused.value)


def file_refusal(path: Path) -> str:
    with pytest.raises(OrganizerError, match=r"\. Next: correct the file, or name a shipped profile") as refused:
        read_profile(path)
    assert (refused.value.what, refused.value.where) == ("the profile cannot be used", [f"profile {path}"])
    return refused.value.got


def expected(name: str, value: Any) -> str:
    least, most = LIMITS.get(name, LEAST_AND_MOST)
    kind = "an integer" if name in INTEGERS else "a number"
    return f"{name} must be {kind} from {least:g} to {most:g}, got {value!r}"


@pytest.mark.parametrize("value", ["0.5", None, True, [1.0], float("nan"), float("inf"), -float("inf"), 2**31])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_parameter_must_be_a_number_in_range(name: str, value: Any) -> None:
    assert refusal({name: value}) == expected(name, value)


@pytest.mark.parametrize("name", NUMBERS)
def test_the_limits_are_allowed_and_what_is_beyond_is_not(name: str) -> None:
    kind = int if name in INTEGERS else float
    least, most = map(kind, LIMITS.get(name, LEAST_AND_MOST))
    for value in (least, most):
        assert getattr(Parameters(**{name: value}), name) == value
    for value in (least - kind(1), most + kind(1)):
        assert refusal({name: value}) == expected(name, value)


def test_memories_are_one_or_several_each_in_range() -> None:
    assert Parameters(own_memory=(60.0, 400.0)).own_memory == (60.0, 400.0)
    assert refusal({"own_memory": (60.0, 0.5)}) == "own_memory must be a number from 1 to 1e+09, got 0.5"
    assert refusal({"own_memory": ()}) == "own_memory must be a number from 1 to 1e+09, got ()"


def test_a_refusal_states_the_range() -> None:
    assert refusal({"layer_sigma": -0.5}) == "layer_sigma must be a number from 0 to 1e+09, got -0.5"
    assert refusal({"popularity_skew": 1.5}) == "popularity_skew must be a number from -1 to 1, got 1.5"
    assert refusal({"topic_period_spread": 1}) == "topic_period_spread must be a number from 0 to 0.999, got 1"
    assert refusal({"topics": 0}) == "topics must be an integer from 1 to 1e+09, got 0"


@pytest.mark.parametrize("name", INTEGERS)
def test_a_number_of_things_must_be_an_integer(name: str) -> None:
    assert refusal({name: 2.0}) == f"{name} must be an integer from 1 to 1e+09, got 2.0"


@pytest.mark.parametrize("value", [0, None, "0", {0: 1}])
@pytest.mark.parametrize("name", LISTS)
def test_what_has_several_values_must_be_a_list(name: str, value: Any) -> None:
    assert refusal({name: value}) == f"{name} must be a list, got {value!r}"


@pytest.mark.parametrize("value", [-1, 5.0, "5", None, True, [5]])
def test_switches_are_iterations(value: Any) -> None:
    words = f"each of switches must be an integer from 0 to 1e+09, got {value!r}"
    assert refusal(TWO_REGIMES | {"switches": [value]}) == words


@pytest.mark.parametrize("switches", [[9, 5], [5, 5]])
def test_switches_must_rise(switches: list[int]) -> None:
    assert refusal({"switches": switches}) == f"switches must rise, got {switches}"


@pytest.mark.parametrize("name", ["regime_common", "regime_strength"])
def test_every_regime_states_what_it_shares_and_how_strong_it_is(name: str) -> None:
    for values in ((), (0.5,), (0.5, 0.5, 0.5)):
        words = f"{name} must have 2 values, one more than switches, got {values}"
        assert refusal(TWO_REGIMES | {name: values}) == words
    most = {"regime_common": "1"}.get(name, "1e+09")
    for value in (-0.5, "1", None, True):
        words = f"{name} must be a number from 0 to {most}, got {value!r}"
        assert refusal(TWO_REGIMES | {name: [0.5, value]}) == words
    assert refusal(TWO_REGIMES | {"regime_common": [0.5, 1.5]}).endswith("from 0 to 1, got 1.5")


def test_integers_stand_for_real_numbers_and_lists_for_tuples() -> None:
    parameters = Parameters(topic_period=300, switches=[7], regime_common=[1, 0.5], regime_strength=[1, 1])
    same = Parameters(topic_period=300.0, switches=(7,), regime_common=(1.0, 0.5), regime_strength=(1.0, 1.0))
    assert parameters == same and hash(parameters) == hash(same)


def test_parameters_can_be_changed_and_are_checked_again() -> None:
    changed = PROFILE.with_parameters(layer_sigma=0.25)
    assert changed.parameters == replace(PROFILE.parameters, layer_sigma=0.25)
    assert replace(changed, parameters=PROFILE.parameters) == PROFILE
    with pytest.raises(ValueError, match=r"^layer_sigma must be a number from 0 to 1e\+09, got -1$"):
        PROFILE.with_parameters(layer_sigma=-1)


def test_a_file_keeps_a_profile(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "d.yaml"
    write_profile(path, PROFILE)
    assert read_profile(path) == PROFILE and PROFILE.name == "M/d"
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert list(written) == list(HEAD)
    assert list(written["parameters"]) == [field.name for field in fields(Parameters)]


def test_a_file_keeps_four_significant_digits(tmp_path: Path) -> None:
    path = tmp_path / "d.yaml"
    write_profile(path, PROFILE.with_parameters(layer_sigma=0.5712345, topic_period=1987.6543, own_drift=1.23456e-7))
    parameters = read_profile(path).parameters
    assert (parameters.layer_sigma, parameters.topic_period, parameters.own_drift) == (0.5712, 1988.0, 1.235e-7)
    first = path.read_bytes()
    write_profile(path, read_profile(path))
    assert path.read_bytes() == first


def test_texts_of_any_language_and_length_survive(tmp_path: Path) -> None:
    profile = replace(PROFILE, source="angepaßt: 'figures' # of a paper, " * 9)
    write_profile(tmp_path / "d.yaml", profile)
    assert read_profile(tmp_path / "d.yaml") == profile


def test_parameters_that_a_file_leaves_out_have_their_defaults() -> None:
    assert profile_from_mapping(content()).parameters == Parameters(top_k=2)


@pytest.mark.parametrize(
    ("mapping", "got"),
    [
        (None, "None"),
        ([1], "[1]"),
        ("text", "text"),
        ({}, "[]"),
        ({"model": "M", 3: 4}, "['3', 'model']"),
        (content() | {"extra": 1}, f"{sorted([*HEAD, 'extra'])}"),
        ({name: value for name, value in content().items() if name != "source"}, f"{sorted({*HEAD} - {'source'})}"),
    ],
)
def test_exactly_the_known_keys_are_taken(mapping: Any, got: str) -> None:
    keys = "model, dataset, layers, experts, iterations, source, parameters"
    assert mapping_refusal(mapping) == f"exactly the keys {keys} are expected, got {got}"


@pytest.mark.parametrize(
    ("parameters", "got"),
    [
        ({"sigma": 1, "layer_sigma": 1, "blocks": 2}, "['blocks', 'sigma']"),
        ({1: 2}, "['1']"),
        ([1], "[1]"),
        (None, "None"),
    ],
)
def test_unknown_parameters_are_named(parameters: Any, got: str) -> None:
    mapping = content() | {"parameters": parameters}
    assert mapping_refusal(mapping) == f"parameters that the model does not have: {got}"


@pytest.mark.parametrize("value", [0, -1, 2.0, "2", True, None])
@pytest.mark.parametrize("name", ["layers", "experts", "iterations"])
def test_a_shape_is_of_positive_integers(name: str, value: Any) -> None:
    assert mapping_refusal(content() | {name: value}) == f"{name} must be a positive integer, got {value!r}"


@pytest.mark.parametrize("value", ["", 3, None])
@pytest.mark.parametrize("name", ["model", "dataset", "source"])
def test_names_are_texts(name: str, value: Any) -> None:
    assert mapping_refusal(content() | {name: value}) == f"{name} must be a text, got {value!r}"


def test_a_token_cannot_choose_more_experts_than_there_are() -> None:
    assert profile_from_mapping(content() | {"experts": 2}).experts == 2
    assert mapping_refusal(content() | {"experts": 1}) == "top_k must be at most the number of experts, 1, got 2"


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    assert file_refusal(path) == f"[Errno 2] No such file or directory: '{path}'"
    assert file_refusal(tmp_path)
    path.write_bytes(b"\xff\xfe\xff")
    assert file_refusal(path).startswith("no UTF-8: 'utf-8' codec can't decode")
    path.write_text("a: [", encoding="utf-8")
    assert file_refusal(path).startswith("ParserError: while parsing")
    path.write_text(yaml.safe_dump(content() | {"parameters": {"topics": 0}}), encoding="utf-8")
    assert file_refusal(path) == "topics must be an integer from 1 to 1e+09, got 0"


def test_shipped_profiles_have_their_models_shapes_and_are_found_by_name() -> None:
    profiles = {profile.name: profile for profile in map(read_profile, FOLDER.glob("*/*.yaml"))}
    assert sorted(profiles) == sorted(f"{path.parent.name}/{path.stem}" for path in FOLDER.glob("*/*.yaml"))
    assert {profile.model for profile in profiles.values()} <= set(SHAPES) and profiles
    for name, profile in profiles.items():
        assert profile.name == name and profile == read_profile(FOLDER / f"{name}.yaml")
        assert (profile.layers, profile.experts, profile.iterations) == SHAPES[profile.model]


def test_shipped_profiles_state_every_parameter() -> None:
    for path in FOLDER.glob("*/*.yaml"):
        stated = yaml.safe_load(path.read_text(encoding="utf-8"))["parameters"]
        assert set(stated) == set(asdict(Parameters())), path
