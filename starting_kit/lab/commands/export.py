"""`export-policy` and `export-placement`: a plan as a policy of the competition, and as a serving engine's file."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from deployments.apart import apart
from deployments.forms import FORMS, check_numbers, check_suffix, layers_line, usage_line, write_placement

from ..experiments.export import filled, initial_tables, write_policy
from ..planning.plan_file import load_plan
from ..serving.measures import even_par
from .scale import layer_numbers


def add_export(commands: argparse._SubParsersAction) -> None:
    """Declare the two commands."""
    parser = commands.add_parser("export-policy", help="write a policy.py that starts from a plan")
    parser.add_argument("plan", type=Path, metavar="PLAN")
    parser.add_argument("--output", type=Path, required=True, help="a folder")
    parser.set_defaults(run=export)
    parser = commands.add_parser("export-placement", help="write the file from which a serving engine starts")
    parser.add_argument("plan", type=Path, metavar="PLAN")
    parser.add_argument("--to", required=True, choices=FORMS, help="form of the file, named after the engine")
    parser.add_argument(
        "--layers",
        type=layer_numbers,
        help="the model's layer numbers of the plan's layers, as 3-60 (default: the plan's)",
    )
    parser.add_argument("--output", type=Path, required=True, help="the file to write")
    parser.set_defaults(run=export_placement)


def export(options: argparse.Namespace) -> int:
    """Write the policy."""
    made = load_plan(options.plan)
    layers, devices, slots = made.table.shape
    tables = filled(made.table, made.load)
    path = write_policy(options.output, list(tables), made.experts)
    shape = f"{layers} layers, ep {devices} and redundant_experts {devices * slots - made.experts}"
    print(f"export-policy: {path}. Next: python kit.py run {options.output}, with a case of this shape: {shape}")
    print(
        f"The plan was made for the router {', '.join(dict.fromkeys(made.routers))}; the competition divides an "
        "expert's tokens evenly."
    )
    policy, initial = (
        f"{pars.mean():.4f} over layers, {pars.max():.4f} in the worst ({made.layers[pars.argmax()]})"
        for pars in (_pars(each, made.load) for each in (tables, initial_tables(tables, made.experts)))
    )
    print("PAR, spread evenly, of the mean loads that the plan keeps (in sample; single batches have more):")
    print(f"  this policy {policy}; the initial deployment {initial}.")
    if count := int((tables != made.table).sum()):
        print(f"The slots of the shared expert and the empty slots now hold more replicas of routed experts: {count}.")
    return 0


def export_placement(options: argparse.Namespace) -> int:
    """Write the file; the layer numbers are the plan's, or those that are named."""
    check_suffix(options.output, options.to)
    made = load_plan(options.plan)
    numbers = options.layers or made.layers
    check_numbers(options.to, numbers, len(made.layers))
    tables, moved = filled(made.table, made.load), 0
    if FORMS[options.to].apart:
        tables, moved = apart(tables, made.load, numbers)
    write_placement(options.output, options.to, tables, made.experts, numbers)
    layers, devices, slots = tables.shape
    print(f"export-placement: {options.output}: {layers} layers x {devices} devices x {slots} slots")
    print(layers_line(options.to, numbers))
    print(f"use: {usage_line(options.output, options.to, devices * slots - made.experts)}")
    if count := int((tables != made.table).sum()) - 2 * moved:
        print(f"The slots of the shared expert and the empty slots now hold more replicas of routed experts: {count}.")
    if moved:
        print(f"Slots exchanged with other devices, so that no device holds an expert twice: {moved}.")
    return 0


def _pars(tables: np.ndarray, load: np.ndarray) -> np.ndarray:
    """PAR of each layer's mean loads, spread evenly: float64 [layer]."""
    return np.array([even_par(table, mean) for table, mean in zip(tables, load, strict=True)])
