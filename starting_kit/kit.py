"""The participant's command line: check, run, compare and pack a policy, replay or profile a call, and make traces.

The same commands in Python; `run` and `compare` return pandas tables:

    from kit import compare, pack, replay, run
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / name) for name in ("starting_kit", "ingestion_program", "scoring_program")]

from placement.evaluation.interruption import begin, end_when_interrupted, raise_when_interrupted

if __name__ == "__main__":
    # Before the rest is imported, which takes its time.
    begin("kit.py", "kit.py: interrupted")

import argparse
import importlib.util
from collections.abc import Sequence
from functools import partial

NEEDED = {"numpy": "numpy", "yaml": "PyYAML", "pandas": "pandas"}
if missing := [name for module, name in NEEDED.items() if importlib.util.find_spec(module) is None]:
    way = "run `make run` once, then use .venv/bin/python; or python3 -m pip install -r requirements.txt"
    sys.exit(f"kit.py: not installed: {', '.join(missing)}. Next: {way}")

from commands.calibrate import add_calibrate
from commands.check import add_check
from commands.compare import add_compare, compare
from commands.convert import add_convert
from commands.export import add_export
from commands.frame import RunFailed
from commands.generate import add_generate
from commands.inspect import add_inspect
from commands.options import UsageError
from commands.pack import add_pack, pack
from commands.profile import add_profile
from commands.reference import add_reference
from commands.replay_calls import add_replay, replay
from commands.run import add_run, run
from commands.runs import add_runs
from commands.statistics import add_statistics
from commands.sweep import add_sweep, sweep
from commands.verify import add_verify
from commands.view import add_view
from placement import SIMULATOR_VERSION
from placement.errors import OrganizerError, Problem
from placement.evaluation.interruption import INTERRUPTED, end_with_parent
from placement.evaluation.machine import lack
from placement.evaluation.printing import run_program
from placement.isolation.sandbox import hide_process
from placement.submission.receipt import simulator_sha256
from scores.problems import FileError

__all__ = ["RunFailed", "UsageError", "compare", "main", "pack", "replay", "run", "sweep"]

POLICY_COMMANDS = (
    *(add_check, add_run, add_runs, add_view, add_compare, add_sweep, add_pack, add_replay, add_profile, add_export),
)
TRACE_COMMANDS = (add_generate, add_calibrate, add_statistics, add_convert, add_verify, add_inspect, add_reference)
# These start no program, which would have to end in its own way.
ENDED_AT_ONCE = ("check", "export", "pack", "profile", "replay", "view")
EXAMPLES = """examples, in the order of a day's work:
  python starting_kit/kit.py check                                      is starting_kit/policy.py accepted?
  python starting_kit/kit.py run                                        score the template on the sample grid
  python starting_kit/kit.py run my_policy --case DS-R1/generated:64    score my_policy/policy.py on one case
  python starting_kit/kit.py runs                                       list finished runs and their scores
  python starting_kit/kit.py view                                       step through a case of the last run
  python starting_kit/kit.py replay my_policy --call 2                  look at what the policy saw at call 2
  python starting_kit/kit.py profile my_policy --call 2                 see where the seconds of call 2 went
  python starting_kit/kit.py compare my_policy starting_kit             is my_policy better than the template?
  python starting_kit/kit.py pack my_policy                             make submission.zip to upload
  python starting_kit/kit.py export my_policy --to vllm --output a.json write a deployment for a serving engine
"""


class Version(argparse.Action):
    """The action of --version: prints the kit's version and the simulator's hash, as in a run's receipt."""

    def __call__(self, parser: argparse.ArgumentParser, *rest: object) -> None:
        print(f"kit {SIMULATOR_VERSION}, simulator {simulator_sha256()}")
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    return execute(parse(arguments))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options of a command; `run` is the function that carries the command out."""
    # A part of an option's name is refused: `compare --seed 3` would draw three seeds.
    whole_names = partial(argparse.ArgumentParser, allow_abbrev=False)
    parser = whole_names(
        prog="kit.py",
        description=__doc__.splitlines()[0],
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=Version, nargs=0, help="print the kit's and the simulator's version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=whole_names)
    for add in (*POLICY_COMMANDS, *TRACE_COMMANDS):
        add(commands)
    typed = sys.argv[1:] if arguments is None else list(arguments)
    options = parser.parse_args(typed)
    options.typed = typed
    options.refuse = parser.error
    return options


def execute(options: argparse.Namespace) -> int:
    """Carry out a command and return the exit code."""
    try:
        return options.run(options)
    except UsageError as error:
        options.refuse(str(error))
    except FileError as error:
        print(error)
        return error.exit_code
    except (OrganizerError, OSError, MemoryError) as error:
        print(f"kit.py {options.command}: error: {lack(error) or error}", file=sys.stderr)
        return 2
    except Problem as error:
        print(error)
        return 1
    except KeyboardInterrupt:
        print(f"{options.command}: interrupted")
        return INTERRUPTED


def from_command_line() -> int:
    """Run the command line as a program; an interrupt ends it in the way of the command."""
    settings = parse(None)
    if settings.command in ENDED_AT_ONCE:
        end_when_interrupted(f"{settings.command}: interrupted")
    elif settings.command == "reference":
        end_when_interrupted(settings.interrupted(settings))
    else:
        raise_when_interrupted()
    return execute(settings)


if __name__ == "__main__":
    end_with_parent()
    hide_process()
    run_program(from_command_line, "kit.py")
