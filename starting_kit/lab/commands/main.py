"""The parser of `python -m lab`, and how a command ends that is refused."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

from placement.errors import Problem

from .distil import add_distil
from .export import add_export
from .gating import add_gating
from .imbalance import add_imbalance
from .matrix import add_matrix
from .online import add_online
from .oracle import add_oracle
from .plans import add_plans
from .recommend import add_recommend
from .settings import parsed
from .traces import add_traces

EXAMPLES = """examples:
  python -m lab generate clustered --tokens 2000 --output ../output/lab/trace
  python -m lab statistics ../output/lab/trace
  python -m lab recommend ../output/lab/trace --shared --output ../output/lab/recommendation
  python -m lab plan ../output/lab/trace --output ../output/lab/plan.npz
  python -m lab search ../output/lab/trace ../output/lab/plan.npz --output ../output/lab/better.npz
  python -m lab simulate ../output/lab/trace ../output/lab/better.npz
  python -m lab export-policy ../output/lab/better.npz --output ../output/lab/policy
  python -m lab export-placement ../output/lab/better.npz --to vllm --output ../output/lab/map.json
  python -m lab matrix ../output/lab/trace --output ../output/lab/matrix
  python -m lab gating ../output/lab/trace_with_scores --method drop reroute --capacity 1,1.25,inf
  python -m lab online ../output/lab/trace --every 1,5,inf
  python -m lab oracle ../output/lab/trace --experts 12 --grid 2x2 --slots 4
  python -m lab imbalance --model deepseek-v3 --ep 32 --factor 2
"""


def command_line() -> tuple[argparse.ArgumentParser, argparse._SubParsersAction]:
    """The parser, and the commands that it knows."""
    # A part of an option's name is refused, as in kit.py: `--layer 2` would be taken for `--layers 2`.
    whole_names = partial(argparse.ArgumentParser, allow_abbrev=False)
    parser = whole_names(
        prog="python -m lab",
        description="Placement, replication, routing and search on a grid of devices, token by token.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, parser_class=whole_names)
    plans = (add_traces, add_plans, add_export, add_recommend, add_matrix)
    for add in (*plans, add_gating, add_online, add_oracle, add_distil, add_imbalance):
        add(commands)
    return parser, commands


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser, commands = command_line()
    options = argparse.Namespace(command=parser.prog)
    try:
        options = parsed(parser, commands, arguments)
        return options.run(options)
    except (Problem, ValueError, OSError) as error:
        print(f"{options.command}: {error}")
        return 1
