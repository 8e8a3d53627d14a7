"""Organizers' command for traces: `python tools/traces.py COMMAND`.

A command is a function `add_NAME` that declares its arguments and sets `run`, a function of the parsed arguments; what
it works with is in a package or module of its own.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ingestion_program"))

from calibration.command import add_calibrate
from conversion.command import add_convert
from generation.command import add_generate
from manifest import TraceError
from placement.errors import OrganizerError
from trace_commands import add_inspect, add_seal, add_verify
from trace_statistics.command import add_statistics

COMMANDS = (add_generate, add_calibrate, add_statistics, add_convert, add_seal, add_verify, add_inspect)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line. Returns the exit code: 0, 2 when the command cannot be carried out, 1 from its findings.

    Raises SystemExit for arguments that argparse refuses and for --help.
    """
    parser = argparse.ArgumentParser(
        prog="traces.py", description="Make, convert, describe, seal and check the traces that a grid is run on."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add in COMMANDS:
        add(commands)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except (TraceError, OrganizerError, OSError) as error:
        print(f"traces.py {options.command}: error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
