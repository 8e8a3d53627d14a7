"""`imbalance`: skew and layer time over ep and factor, in closed form, and beside it what a trace measures."""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .imbalance_presets import MODELS, MoeModel, decode_ns, layer_time, prefill_ns
from .imbalance_twin import layer_table, prefill_table
from .plots import PlotsMissing
from .store import load_plan

if TYPE_CHECKING:
    import pandas as pd

NO_PLOTS = "plots need matplotlib, the extra lab: .venv/bin/python -m pip install -e '.[lab]', in the bundle's folder"


def add_imbalance(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "imbalance",
        help="what hot experts cost, in closed form",
        description="Skew and time of a layer's experts over ep and factor: information, not score.",
    )
    parser.add_argument("--model", choices=sorted(MODELS), default="deepseek-v3")
    parser.add_argument("--ep", type=int, default=32, metavar="N", help="devices, the most of the table (default: 32)")
    parser.add_argument(
        "--factor",
        type=_factor,
        default=-1.0,
        metavar="F",
        help="tokens of a hot expert by the mean, as 2 or 64/3, shown beside 1 and the most (default: -1, the most)",
    )
    parser.add_argument("--experts-hot", type=int, default=1, metavar="W", help="how many are hot (default: 1)")
    parser.add_argument("--tokens", type=int, default=4096, help="prompt tokens in prefill, of all (default: 4096)")
    parser.add_argument("--batch", type=int, default=128, help="sequences in decode, of all devices (default: 128)")
    parser.add_argument("--trace", type=Path, help="hotness [iteration, layer, expert] to measure, .npy or .npz")
    parser.add_argument("--plan", type=Path, help="with --trace: a plan (.npz) to measure too, at its devices")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a file .png, with matplotlib")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="a folder for the tables as .csv")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the tables, write those files that were asked for; return the exit code."""
    model = MODELS[options.model]
    if options.plan and not options.trace:
        raise ValueError("--plan is measured on a trace; expected --trace too")
    frames = {
        "imbalance": closed_form(
            model, _eps(options.ep), options.factor, options.experts_hot, options.tokens, options.batch
        )
    }
    print(f"{model.name}, experts hot, on one device: {options.experts_hot} (information, not score)")
    print(_shown(frames["imbalance"]))
    if options.trace:
        frames |= _measured(options, model)
        print(f"\n{options.trace}: layers of the trace, means over iterations (information, not score)")
        print(_shown(_over_layers(frames["layers"])))
        print("\nThe experts' part of the time to first token")
        print(_shown(frames["prefill"]))
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        for name, frame in frames.items():
            frame.to_csv(options.output / f"{name}.csv", index=False)
        print(f"tables: {options.output}")
    if options.plot:
        plot(options.plot, model, frames["imbalance"], frames.get("layers"))
        print(f"plot: {options.plot}")
    return 0


def closed_form(
    model: MoeModel, devices: list[int], factor: float | Fraction, hot: int, tokens: int, batch: int
) -> pd.DataFrame:
    """A row for each ep and each of the factors 1, `factor` and the most. Raises ValueError.

    prefill_us, decode_us: a layer's experts for `tokens` and for one token of each of `batch`; prefill_ms: the experts'
    part of the time to first token; added_ms: what factor 1 has not; decode_ms: their part of a token's time.
    """
    import pandas as pd

    factors = sorted({model.imbalance(1, own, hot).factor for own in (1, factor, -1)})
    rows = []
    for ep in devices:
        least = prefill_ns(model, model.imbalance(ep, 1, hot), tokens)
        for own in factors:
            imbalance = model.imbalance(ep, own, hot)
            time, step = (layer_time(model, imbalance, number) for number in (tokens, batch))
            prefill = prefill_ns(model, imbalance, tokens)
            row = {"ep": ep, "factor": float(own), "skew": float(imbalance.skew), "compute_us": time.compute / 1e3}
            row |= {"exchange_us": (time.dispatch + time.combine) / 1e3, "prefill_us": time.total / 1e3}
            row |= {"prefill_ms": prefill / 1e6, "added_ms": (prefill - least) / 1e6, "decode_us": step.total / 1e3}
            rows.append(row | {"decode_ms": decode_ns(model, imbalance, batch, 1) / 1e6})
    return pd.DataFrame(rows)


def plot(path: Path, model: MoeModel, frame: pd.DataFrame, layers: pd.DataFrame | None = None) -> None:
    """Draw skew and layer time over ep, a curve for each factor and for each placement of a trace.

    frame: of closed_form; layers: of layer_table. Raises PlotsMissing without matplotlib, OSError.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise PlotsMissing(NO_PLOTS) from None
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots(1, 2)
    panels = (("skew", "par", "skew of the worst device"), ("prefill_us", "layer_us", "us per layer in prefill"))
    for own, (closed, measured, label) in zip(axes, panels, strict=True):
        for factor, part in frame.groupby("factor"):
            own.plot(part.ep, part[closed], marker=".", label=f"factor {factor:.4g}")
        if layers is not None:
            for name, part in layers.groupby("placement", sort=False):
                mean = part.groupby("ep")[measured].mean()
                own.plot(mean.index, mean, linestyle="--", marker="x", label=f"trace, {name}")
        own.set(xlabel="ep", ylabel=label, title=f"{model.name}: {label}")
        own.set_xscale("log", base=2)
        own.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def read_hotness(path: Path) -> np.ndarray:
    """Hotness as the competition's traces hold it: .npy, or .npz with one array. Raises ValueError, OSError."""
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found as archive:
            if len(archive.files) != 1:
                raise ValueError(f"{len(archive.files)} arrays in the file")
            return archive[archive.files[0]]
    except OSError:
        raise
    # numpy and zipfile raise nearly anything on a damaged file.
    except Exception as error:
        raise ValueError(
            f"{path} cannot be read. Got: {error}. Expected: hotness, .npy or .npz with one array, without pickles."
        ) from None


def _measured(options: argparse.Namespace, model: MoeModel) -> dict[str, pd.DataFrame]:
    hotness = read_hotness(options.trace)
    devices, policy = [ep for ep in _eps(options.ep) if model.experts % ep == 0], {}
    if options.plan:
        plan = load_plan(options.plan).plan
        # The shared expert is no routed one, and the same on every device.
        policy[plan.shape[1]] = np.where(plan >= model.experts, -1, plan)
        devices = sorted({*devices, plan.shape[1]})
    try:
        layers = layer_table(hotness, model, devices, options.tokens, policy)
    except ValueError as error:
        raise ValueError(f"{options.trace}: {error}") from None
    return {"layers": layers, "prefill": prefill_table(layers, model)}


def _over_layers(frame: pd.DataFrame) -> pd.DataFrame:
    """Means over layers, which may be many; --output writes every layer."""
    return frame.drop(columns="layer").groupby(["ep", "placement"], sort=False).mean().reset_index()


def _eps(most: int) -> list[int]:
    if most < 1:
        raise ValueError(f"--ep is {most}; expected at least 1")
    return sorted({*(1 << bit for bit in range(most.bit_length())), most})


def _factor(text: str) -> float | Fraction:
    try:
        return Fraction(text) if "/" in text else float(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"{text!r} is no number; expected one as 2, 2.5 or 64/3, or -1") from None


def _shown(frame: pd.DataFrame) -> str:
    return frame.to_string(index=False, float_format="{:.4f}".format)
