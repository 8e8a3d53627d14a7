"""`imbalance`: skew and layer time over ep and factor, in closed form, and beside it what a trace measures."""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from placement.errors import Problem
from scores.table import aligned, cells

from ..experiments.plots import imbalance_curves
from ..imbalance.presets import MODELS, MoeModel
from ..imbalance.sweep import closed_form
from ..imbalance.twin import layer_frame, prefill_frame
from ..planning.plan_file import load_plan
from ..traces.hotness import read_hotness

if TYPE_CHECKING:
    import pandas as pd


def add_imbalance(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "imbalance",
        help="print what hot experts cost, in closed form",
        description="Skew and time of a layer's experts over ep and factor: information, not score.",
    )
    parser.add_argument("--model", choices=sorted(MODELS), default="deepseek-v3")
    parser.add_argument(
        "--ep", type=int, default=32, metavar="N", help="largest number of devices in the table (default: 32)"
    )
    parser.add_argument(
        "--factor",
        type=_factor,
        default=-1.0,
        metavar="F",
        help="tokens of a hot expert relative to the mean, as 2 or 64/3, shown beside 1 and the largest (default: -1, "
        "the largest)",
    )
    parser.add_argument("--experts-hot", type=int, default=1, metavar="W", help="number of hot experts (default: 1)")
    parser.add_argument(
        "--tokens", type=int, default=4096, help="number of prompt tokens in prefill, on all devices (default: 4096)"
    )
    parser.add_argument(
        "--batch", type=int, default=128, help="number of sequences in decode, on all devices (default: 128)"
    )
    parser.add_argument(
        "--trace", type=Path, help="file of hotness [iteration, layer, expert] to measure, .npy or .npz"
    )
    parser.add_argument(
        "--plan", type=Path, help="with --trace: a plan (.npz) to measure too, at its number of devices"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="file for a plot, ending in .png (needs matplotlib)")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="folder for the tables as .csv")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the tables, write those files that were asked for; return the exit code."""
    model = MODELS[options.model]
    if options.plan and not options.trace:
        raise Problem("--plan needs --trace", "no --trace", "--plan with --trace", "give --trace")
    frames = {
        "imbalance": closed_form(
            model, _eps(options.ep), options.factor, options.experts_hot, options.tokens, options.batch
        )
    }
    print(f"{model.name}, experts hot, on one device: {options.experts_hot} (information, not score)")
    print(aligned(*cells(frames["imbalance"])))
    if options.trace:
        frames |= _measured(options, model)
        print(f"\n{options.trace}: layers, means over the second half of the iterations (information, not score)")
        print(aligned(*cells(_over_layers(frames["layers"]))))
        print("\nThe experts' part of the time to first token")
        print(aligned(*cells(frames["prefill"])))
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        for name, frame in frames.items():
            frame.to_csv(options.output / f"{name}.csv", index=False)
        print(f"tables: {options.output}")
    if options.plot:
        imbalance_curves(options.plot, model.name, frames["imbalance"], frames.get("layers"))
        print(f"plot: {options.plot}")
    return 0


def _measured(options: argparse.Namespace, model: MoeModel) -> dict[str, pd.DataFrame]:
    hotness = read_hotness(options.trace)
    devices, policy = [ep for ep in _eps(options.ep) if model.experts % ep == 0], {}
    if options.plan:
        table = load_plan(options.plan).table
        # The shared expert is no routed one, and the same on every device.
        policy[table.shape[1]] = np.where(table >= model.experts, -1, table)
        devices = sorted({*devices, table.shape[1]})
    try:
        layers = layer_frame(hotness, model, devices, options.tokens, policy)
    except ValueError as error:
        expected, next_step = f"hotness of {model.name}", "name another trace or --model"
        raise Problem("the trace cannot be measured", str(error), expected, next_step, str(options.trace)) from None
    return {"layers": layers, "prefill": prefill_frame(layers, model)}


def _over_layers(frame: pd.DataFrame) -> pd.DataFrame:
    """Means over layers, which may be many; --output writes every layer."""
    return frame.drop(columns="layer").groupby(["ep", "placement"], sort=False).mean().reset_index()


def _eps(most: int) -> list[int]:
    if most < 1:
        raise Problem("--ep is too small", str(most), "at least 1", "correct --ep")
    return sorted({*(1 << bit for bit in range(most.bit_length())), most})


def _factor(text: str) -> float | Fraction:
    try:
        return Fraction(text) if "/" in text else float(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number; expected one as 2, 2.5 or 64/3, or -1") from None
