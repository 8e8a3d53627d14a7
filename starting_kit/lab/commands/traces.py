"""`import`, `generate`, `statistics` and `hotness`: routing traces in, tables and hotness out."""

from __future__ import annotations

import argparse
from pathlib import Path

from scores.table import aligned, cells

from ..experiments.plots import coactivation_map, frequency_curves
from ..traces.generators import GENERATORS, Sample
from ..traces.hotness import hotness_of, write_hotness
from ..traces.sources import Wanted, read_source
from ..traces.statistics import coactivation, frequency_frame
from ..traces.trace_file import load_trace, save_trace


def add_traces(commands: argparse._SubParsersAction) -> None:
    """Declare the four commands."""
    parser = commands.add_parser("import", help="read routing that was recorded elsewhere")
    parser.add_argument("source", type=Path, help="a folder of requests (.npz), a .npz, .jsonl or a hotness .npy")
    parser.add_argument("--experts", type=int, required=True, help="routed experts of the model")
    parser.add_argument("--part", choices=["all", "prompt", "output"], default="all", help="tokens of each request")
    parser.add_argument("--layers", default="", help="ids, with commas (default: all)")
    parser.add_argument("--max-requests", type=int, help="the first ones only")
    parser.add_argument("--domain", default="", help="which part of a file that holds several")
    parser.add_argument("--top-k", type=int, default=8, help="experts per token, for hotness (default: 8)")
    parser.add_argument("--seed", type=int, default=0, help="deals hotness out to tokens (default: 0)")
    parser.add_argument("--output", type=Path, required=True, help="a file .npz")
    parser.set_defaults(run=import_trace)
    parser = commands.add_parser("generate", help="make routing up, with a seed")
    parser.add_argument("kind", choices=tuple(GENERATORS))
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--experts", type=int, default=256)
    parser.add_argument("--top-k", type=int, default=8)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, help="a file .npz")
    parser.set_defaults(run=generate)
    parser = commands.add_parser("statistics", help="frequency, variance, p95, burstiness of the experts")
    parser.add_argument("trace", type=Path, metavar="TRACE")
    parser.add_argument("--batch", type=int, default=256, help="tokens per batch (default: 256)")
    parser.add_argument("--output", type=Path, help="a file .csv with all experts")
    parser.add_argument("--plots", type=Path, help="a folder for plots")
    parser.set_defaults(run=statistics)
    parser = commands.add_parser("hotness", help="count a trace for kit.py: a batch is an iteration")
    parser.add_argument("trace", type=Path, metavar="TRACE")
    parser.add_argument("--batch", type=int, default=256, help="tokens per iteration (default: 256)")
    parser.add_argument("--model", required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--output", type=Path, required=True, help="a folder, for kit.py's --traces")
    parser.set_defaults(run=count)


def import_trace(options: argparse.Namespace) -> int:
    """Read a source and write a trace file."""
    layers = tuple(int(layer) for layer in options.layers.split(",") if layer) or None
    names = ("part", "max_requests", "domain", "top_k", "seed")
    wanted = Wanted(layers=layers, **{name: getattr(options, name) for name in names})
    return _written("import", options.output, read_source(options.source, options.experts, wanted))


def generate(options: argparse.Namespace) -> int:
    """Generate and write a trace file."""
    sample = Sample(options.tokens, options.experts, options.top_k, options.layers, options.seed)
    return _written("generate", options.output, GENERATORS[options.kind](sample))


def _written(command: str, path: Path, trace: object) -> int:
    save_trace(path, trace)
    layers, tokens, k = trace.choices.shape
    print(f"{command}: {layers} layers, {tokens} tokens, {k} of {trace.experts} experts each, written to {path}")
    return 0


def statistics(options: argparse.Namespace) -> int:
    """Print a line per layer, write every expert."""
    trace = load_trace(options.trace)
    frame = frequency_frame(trace, options.batch)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(options.output, index=False)
    numbers = frame.columns.difference(["layer", "expert"], sort=False)
    print(aligned(*cells(frame.groupby("layer", as_index=False)[list(numbers)].max()), ".4g"))
    print("(the largest of each layer's experts)")
    if options.plots:
        options.plots.mkdir(parents=True, exist_ok=True)
        batches = {f"layer {layer}": trace.batches(at, options.batch) for at, layer in enumerate(trace.layers)}
        frequency_curves(options.plots / "frequencies.png", batches)
        coactivation_map(options.plots / "coactivation.png", coactivation(trace.choices[0], trace.experts))
        print(f"plots: {options.plots}")
    return 0


def count(options: argparse.Namespace) -> int:
    """Count and write hotness."""
    hotness = hotness_of(load_trace(options.trace), options.batch)
    write_hotness(options.output, f"{options.model}/{options.dataset}", hotness)
    shape = " x ".join(map(str, hotness.shape))
    print(f"hotness: {shape} (iterations, layers, experts), written to {options.output}")
    return 0
