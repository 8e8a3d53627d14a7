"""Settings of a command: a configuration file (YAML) in place of flags, and checks of sizes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from placement.errors import Problem
from placement.traces.yaml_file import read_yaml


def add_config(parser: argparse.ArgumentParser) -> None:
    """Declare --config; the command's function is called with what file and flags say together."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="file of settings in YAML, as `slots: 3`; options of the command line win",
    )


def parsed(
    parser: argparse.ArgumentParser, commands: argparse._SubParsersAction, arguments: Sequence[str] | None
) -> argparse.Namespace:
    """The options of the command line, with those of its configuration file where the line does not say.

    Raises Problem for a file that cannot be read, and for settings that the command has not.
    """
    options = parser.parse_args(arguments)
    if getattr(options, "config", None) is None:
        return options
    command = commands.choices[options.command]
    command.set_defaults(**_read(options.config, command))
    return parser.parse_args(arguments)


def _read(path: Path, command: argparse.ArgumentParser) -> dict[str, Any]:
    content, where = read_yaml(path, "configuration"), str(path)
    next_step = "correct the file"
    if not isinstance(content, dict):
        expected = "settings, for example `slots: 3`"
        raise Problem("the configuration has no settings", type(content).__name__, expected, next_step, where)
    known = {action.dest: action for action in command._actions if action.dest not in ("help", "config")}
    if unknown := [key for key in content if key not in known]:
        got, expected = repr(unknown[0]), f"one of {', '.join(known)}"
        raise Problem("the configuration has an unknown setting", got, expected, next_step, where)
    return {key: _value(known[key], value, where) for key, value in content.items()}


def _value(action: argparse.Action, value: object, where: str) -> object:
    """What the flag would give. Raises Problem."""
    kind = bool if action.nargs == 0 else action.type or str
    words = {bool: "true or false", int: "an integer", float: "a number", str: "a text", Path: "a path"}
    types = {bool: bool, int: int, float: (int, float), str: str, Path: str}
    several = action.nargs == "*"
    values = value if several and isinstance(value, list) else [value]
    expected = f"a list, each {words[kind]}" if several else words[kind]
    # True is an integer to Python, and no number here.
    wrong = [one for one in values if not isinstance(one, types[kind]) or (isinstance(one, bool) and kind is not bool)]
    if action.choices is not None and not wrong:
        expected = f"one of {', '.join(map(str, action.choices))}"
        wrong = [one for one in values if one not in action.choices]
    if wrong or not values or (several and not isinstance(value, list)):
        got = repr(wrong[0] if wrong else value)
        raise Problem(f"the setting {action.dest} is wrong", got, expected, "correct the file", where)
    return [kind(one) for one in values] if several else kind(value)


def check_sizes(options: argparse.Namespace, **least: int) -> None:
    """Raises Problem for an option below its least value."""
    for name, smallest in least.items():
        if getattr(options, name) < smallest:
            flag = f"--{name.replace('_', '-')}"
            got, expected = str(getattr(options, name)), f"at least {smallest}"
            raise Problem(f"{flag} is too small", got, expected, f"correct {flag}")
