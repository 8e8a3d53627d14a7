"""The participant's command line: check, run, compare and pack a policy, and replay one of its calls.

The same from Python, where `run` and `compare` return pandas tables:

    from kit import compare, pack, replay, run
"""

from __future__ import annotations

import argparse
import importlib.util
import signal
import sys
from collections.abc import Sequence

NEEDED = {"numpy": "numpy", "yaml": "PyYAML", "pandas": "pandas"}
if missing := [name for module, name in NEEDED.items() if importlib.util.find_spec(module) is None]:
    sys.exit(f"kit.py: not installed: {', '.join(missing)}. Next: run `make run` once, then use .venv/bin/python")

from commands import places  # noqa: F401, E402 (first: it makes the programs' modules importable)
from commands.check import add_check  # noqa: E402
from commands.compare import add_compare, compare  # noqa: E402
from commands.frame import RunFailed  # noqa: E402
from commands.options import UsageError  # noqa: E402
from commands.pack import add_pack, pack  # noqa: E402
from commands.replay import add_replay, replay  # noqa: E402
from commands.run import add_run, run  # noqa: E402
from comparison import FileError  # noqa: E402
from placement.errors import OrganizerError, Problem  # noqa: E402
from placement.sandbox import hide_process  # noqa: E402
from progress import end_when_interrupted  # noqa: E402

__all__ = ["RunFailed", "UsageError", "compare", "main", "pack", "replay", "run"]

INTERRUPTED = 130
COMMANDS = (add_check, add_run, add_compare, add_pack, add_replay)
# These start no program, which would have to end in its own way.
ENDED_AT_ONCE = ("check", "pack", "replay")
EXAMPLES = """examples, in the order of a day's work:
  python starting_kit/kit.py check                                      is starting_kit/policy.py accepted?
  python starting_kit/kit.py run                                        score it on the sample grid
  python starting_kit/kit.py run my_policy --case DS-R1/generated:64    score my_policy/policy.py on one case
  python starting_kit/kit.py replay my_policy --call 2                  look at what it saw at its second call
  python starting_kit/kit.py compare my_policy starting_kit             is it better than the template, or a tie?
  python starting_kit/kit.py pack my_policy                             make submission.zip to upload
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="kit.py",
        description=__doc__.splitlines()[0],
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for add in COMMANDS:
        add(commands)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except UsageError as error:
        parser.error(str(error))
    except FileError as error:
        print(error)
        return error.exit_code
    except Problem as error:
        print(error)
        return 2 if isinstance(error, OrganizerError) else 1
    except KeyboardInterrupt:
        print(f"{options.command}: interrupted")
        return INTERRUPTED


def interrupt_once(*signal_and_frame: object) -> None:
    """Raise KeyboardInterrupt, and let nothing interrupt what it ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    # No text of a policy's may break a log that cannot show it.
    sys.stdout.reconfigure(errors="backslashreplace")
    hide_process()
    command = (sys.argv[1:2] or [""])[0]
    if command in ENDED_AT_ONCE:
        end_when_interrupted(f"{command}: interrupted")
    else:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, interrupt_once)
    sys.exit(main())
