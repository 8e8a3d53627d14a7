"""`export`: write a policy's deployment as a placement file that a serving engine starts from."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from deployments.apart import apart
from deployments.forms import FORMS, check_numbers, check_suffix, layers_line, usage_line, write_placement
from placement.balance import par
from placement.deployment import changed_slots
from placement.errors import Problem
from placement.evaluation.temporary import temporary_folder
from placement.submission.folder import find_policy
from traces.conversion.recording import counted

from . import options as shared
from .argument_types import integer_from
from .model_layers import add_layers, numbers_of
from .moment import Moment, answered
from .named_paths import check_output_file
from .places import short
from .policy_folder import staged
from .replay_calls import named_case
from .selection import read_grid
from .worlds import check_traces, world_of

EXAMPLES = """
export my_policy --case DS-R1/generated:64 --to vllm --output map.json  the deployment when the trace ends
export my_policy --case DS-R1/generated:64 --after 2 --to sglang --layers 3-60 --output map.json  after the second call
"""


def add_export(commands: Any) -> None:
    """Declare the command `export`."""
    purpose = "write a policy's deployment as a file that a serving engine starts from"
    parser = shared.add_command(commands, "export", purpose, EXAMPLES)
    shared.add_policy_and_case(parser)
    when = parser.add_mutually_exclusive_group()
    when.add_argument(
        "--after",
        type=integer_from(1),
        metavar="CALL",
        help="write the deployment once the answer of this call is applied",
    )
    when.add_argument(
        "--last",
        action="store_true",
        help="write the deployment once the answer of the last call is applied (the default)",
    )
    parser.add_argument("--to", required=True, choices=FORMS, help="form of the file, named after the engine")
    parser.add_argument("--output", required=True, type=Path, metavar="FILE", help="the file to write")
    add_layers(parser)
    parser.set_defaults(run=export_command, grid=None)


def export_command(options: argparse.Namespace) -> int:
    """Run the case up to the call, write the deployment after the call, and return exit code 0."""
    check_output_file("--output", options.output)
    case = named_case(options)
    world = world_of(options.grid, options.traces, None, options.seed)
    check_traces(world, [case])
    numbers = numbers_of(case, world.traces, options.layers)
    try:
        check_suffix(options.output, options.to)
        check_numbers(options.to, numbers, case.layers)
    except Problem as problem:
        raise shared.usage_of(problem) from None
    with temporary_folder(), staged(options.policy) as submission:
        folder = find_policy(submission)[0]
        seen = answered(folder, case, read_grid(world.grid), world.traces, options.after)
    table, moment = stood(seen[-1]), seen[-1]
    print(f"{case.name}, after call {len(seen)} (iteration {moment.iteration}): deployment {list(table.shape)}")
    if not any(changed_slots(one.deployment, stood(one)) for one in seen):
        print("note: no layer was redeployed up to this call: this is the initial deployment")
    if FORMS[options.to].apart:
        table, count = apart(table, moment.hotness.sum(axis=0, dtype=np.int64), numbers)
        if count:
            apart_line = (
                f"slots exchanged with other devices, so that no device holds an expert twice: {counted(count, 'slot')}"
            )
            print(f"{apart_line}; mean PAR before: {mean_par(stood(moment), moment.hotness):.4f}")
    print(f"mean PAR (peak-to-average ratio) on the window of the call: {mean_par(table, moment.hotness):.4f}")
    write_placement(options.output, options.to, table, case.experts, numbers)
    print(f"written: {short(options.output)}; {layers_line(options.to, numbers)}")
    print(f"use: {usage_line(options.output, options.to, case.redundant_experts)}")
    return 0


def stood(moment: Moment) -> np.ndarray:
    """The table after all layers of a call's answer are applied: int64 [layer, device, slot]."""
    table = moment.deployment.copy()
    if moment.answer is not None:
        layers, rows = moment.answer
        table[layers] = rows[layers]
    return table


def mean_par(table: np.ndarray, hotness: np.ndarray) -> float:
    """The mean PAR over layers and iterations; hotness: int [iteration, layer, expert]; table: [layer, device,
    slot].
    """
    pars = [
        par(np.ascontiguousarray(layer.T), layer.sum(axis=1, dtype=np.int64), rows).mean()
        for layer, rows in zip(hotness.swapaxes(0, 1), table, strict=True)
    ]
    return float(np.mean(pars))
