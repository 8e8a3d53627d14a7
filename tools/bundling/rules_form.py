"""The form of competition.yaml: where it lies, that it parses, and that its keys are those that the platform reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from bundling.parts import Files
from bundling.reader import Fault
from bundling.rules_archive import REBUILD
from placement.traces.yaml_file import parse_yaml

WHERE = "competition.yaml"
# What the platform reads, in the order of its documentation; it ignores everything else in silence.
KEYS = {
    "": (
        "version title description image terms pages docker_image registration_auto_approve enable_detailed_results "
        "show_detailed_results_in_submission_panel show_detailed_results_in_leaderboard auto_run_submissions "
        "can_participants_make_submissions_public make_programs_available make_input_data_available "
        "competition_type reward contact_email forum_enabled queue fact_sheet tasks solutions phases leaderboards"
    ),
    "pages": "title file",
    "tasks": (
        "index name description scoring_program ingestion_program input_data reference_data "
        # Read, and refused by a rule of its own.
        "ingestion_only_during_scoring"
    ),
    "solutions": "index tasks path name description",
    "phases": (
        "index name description start end tasks max_submissions_per_day max_submissions execution_time_limit "
        "auto_migrate_to_this_phase hide_output hide_prediction_output hide_score_output starting_kit public_data"
    ),
    "leaderboards": "title key hidden primary_index submission_rule columns",
    "columns": "title key index sorting precision hidden computation computation_indexes",
}
LISTS = ("pages", "tasks", "solutions", "phases", "leaderboards")


class UniqueKeys(yaml.SafeLoader):
    """Reads YAML as the platform does, but refuses a key that stands twice, of which the platform takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_competition(files: Files) -> dict[str, Any]:
    """The content of competition.yaml. Raises Fault with what keeps it from being read."""
    if WHERE not in files:
        nested = [name for name in files if name.endswith(("competition.yaml", "competition.yml"))]
        got = f"{nested[0]} instead" if nested else "no such file"
        raise Fault(WHERE, "does not lie at the zip's root", got, "competition.yaml, in no folder", REBUILD)
    try:
        content = parse_yaml(files[WHERE], UniqueKeys)
    except ValueError as error:
        raise Fault(WHERE, "cannot be read", str(error), "YAML in UTF-8, each key once", "correct it") from None
    if not isinstance(content, dict):
        raise Fault(WHERE, "is no mapping", type(content).__name__, "keys with values", "correct it")
    return content


def version(content: dict[str, Any]) -> Iterator[Fault]:
    """Without it, the platform reads the file as its first version's and complains about pages."""
    if content.get("version") not in (2, "2"):
        yield Fault(WHERE, "has another version", shown(content.get("version")), "version: 2", "correct it")


def form_faults(content: dict[str, Any]) -> Iterator[Fault]:
    """The version, lists of mappings where the platform wants them, and known keys only."""
    yield from version(content)
    yield from unknown_keys("", WHERE, content)
    for name in LISTS:
        if name in content:
            yield from list_faults(name, f"{WHERE}, {name}", content[name])
    boards = content.get("leaderboards")
    for number, board in enumerate(boards if isinstance(boards, list) else []):
        if isinstance(board, dict):
            yield from list_faults("columns", f"{WHERE}, leaderboards[{number}].columns", board.get("columns"))


def list_faults(name: str, where: str, value: object) -> Iterator[Fault]:
    """One of the lists of competition.yaml."""
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        yield Fault(where, "is no list of mappings", shown(value), "entries that begin with `- `", "correct it")
        return
    for number, entry in enumerate(value):
        yield from unknown_keys(name, f"{where}[{number}]", entry)


def unknown_keys(name: str, where: str, entry: dict[str, Any]) -> Iterator[Fault]:
    """The platform ignores a misspelled key, and takes the default."""
    for key in entry:
        if key not in KEYS[name].split():
            expected = f"one of {', '.join(KEYS[name].split())}"
            yield Fault(
                where, "has a key that the platform does not read", shown(key), expected, "correct or remove it"
            )


def shown(value: object) -> str:
    """A value in a message, cut when long."""
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
