"""`import`, `generate`, `statistics` and `hotness`: routing traces in, tables and hotness out."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from placement.errors import Problem
from scores.table import aligned, cells

from ..experiments.plots import coactivation_map, frequency_curves
from ..imbalance.presets import MODELS
from ..traces.generators import GENERATORS, Sample, drawn_lazily
from ..traces.hotness import hotness_of, write_hotness
from ..traces.routing_trace import RoutingTrace
from ..traces.side_by_side import side_by_side
from ..traces.sources import PARTS, Wanted, import_source
from ..traces.statistics import active_experts, coactivation, frequency_frame
from ..traces.trace_file import load_trace, save_trace
from .scale import add_jobs, add_tokens, layer_numbers, open_trace

ACTIVE = ("layer", "batches", "active_mean", "active_least", "active_most")


def add_traces(commands: argparse._SubParsersAction) -> None:
    """Declare the four commands."""
    parser = commands.add_parser("import", help="read routing that was recorded elsewhere")
    parser.add_argument("source", type=Path, help="a folder or file of requests, batches or hotness")
    parser.add_argument("--experts", type=int, required=True, help="number of the model's routed experts")
    parser.add_argument("--part", choices=PARTS, default="all", help="number of tokens of each request")
    parser.add_argument(
        "--layers", type=layer_numbers, help="layer numbers as 3-60 or 0,4,5 (default: all layers that route)"
    )
    parser.add_argument("--max-requests", type=int, help="read only the first N requests")
    parser.add_argument("--domain", default="", help="read only requests with this label (default: all)")
    parser.add_argument("--prompt", type=int, help="number of tokens of prompts whose length no file states")
    parser.add_argument(
        "--top-k", type=int, help="experts per token, for base64 and for hotness (default for hotness: 8)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed that deals hotness out to tokens (default: 0)")
    parser.add_argument(
        "--allow-pickle", action="store_true", help="also read files with pickled objects, which can run any code"
    )
    parser.add_argument("--output", type=Path, required=True, help="a folder")
    parser.set_defaults(run=import_trace)
    parser = commands.add_parser("generate", help="make up routing from a seed")
    parser.add_argument("kind", choices=tuple(GENERATORS))
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--model", choices=sorted(MODELS), help="a model whose number of experts and top k are taken")
    parser.add_argument("--experts", type=int, help="number of experts (default: of --model, or 256)")
    parser.add_argument("--top-k", type=int, help="experts per token (default: of --model, or 8)")
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--phases", type=int, help="for drifting: number of hot sets from the first to the last token (default: 4)"
    )
    parser.add_argument("--scores", action="store_true", help="keep the router's scores of all experts, for `gating`")
    parser.add_argument("--output", type=Path, required=True, help="a folder")
    parser.set_defaults(run=generate)
    parser = commands.add_parser("statistics", help="print frequency, variance, p95 and burstiness of the experts")
    parser.add_argument("trace", type=Path, metavar="TRACE")
    parser.add_argument("--batch", type=int, default=256, help="tokens per batch (default: 256)")
    parser.add_argument(
        "--seed", type=int, help="seed that draws tokens into batches (default: in the order of the trace)"
    )
    parser.add_argument("--output", type=Path, help="file for the numbers of all experts, ending in .csv")
    parser.add_argument(
        "--pairs", type=Path, help="file for the tokens of each pair [layer, expert, expert], ending in .npy"
    )
    parser.add_argument("--plots", type=Path, help="folder for plots")
    add_tokens(parser)
    add_jobs(parser)
    parser.set_defaults(run=statistics)
    parser = commands.add_parser("hotness", help="count a trace for kit.py: each batch becomes an iteration")
    parser.add_argument("trace", type=Path, metavar="TRACE")
    parser.add_argument("--batch", type=int, default=256, help="tokens per iteration (default: 256)")
    parser.add_argument("--model", required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--output", type=Path, required=True, help="folder for kit.py's --traces")
    add_tokens(parser)
    parser.set_defaults(run=count)


def import_trace(options: argparse.Namespace) -> int:
    """Read a source and write a trace."""
    names = ("part", "layers", "max_requests", "domain", "prompt", "top_k", "seed", "allow_pickle")
    wanted = Wanted(**{name: getattr(options, name) for name in names})
    notes = import_source(options.source, options.experts, wanted, options.output)
    return _written("import", options.output, load_trace(options.output), notes)


def generate(options: argparse.Namespace) -> int:
    """Generate and write a trace, a layer at a time."""
    model = MODELS[options.model or "deepseek-v3"]
    experts = model.experts if options.experts is None else options.experts
    top_k = model.active_experts if options.top_k is None else options.top_k
    sample = Sample(options.tokens, experts, top_k, options.layers, options.seed, options.scores)
    if options.phases is not None and options.kind != "drifting":
        what, next_step = "--phases is only for the kind drifting", "leave --phases out, or generate drifting"
        raise Problem(what, options.kind, "drifting", next_step)
    words = {} if options.phases is None else {"phases": options.phases}
    trace = drawn_lazily(options.kind, sample, **words)
    save_trace(options.output, trace)
    return _written("generate", options.output, trace, [])


def _written(command: str, path: Path, trace: RoutingTrace, notes: list[str]) -> int:
    layers, tokens, k = trace.choices.shape
    print(f"{command}: {layers} layers, {tokens} tokens, {k} of {trace.experts} experts each, written to {path}")
    for note in notes:
        print(f"note: {note}")
    return 0


def statistics(options: argparse.Namespace) -> int:
    """Print a line per layer, write every expert."""
    import pandas as pd

    trace = open_trace(options)
    frame = frequency_frame(trace, options.batch, options.seed, options.jobs)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(options.output, index=False)
    numbers = frame.columns.difference(["layer", "expert"], sort=False)
    print(aligned(*cells(frame.groupby("layer", as_index=False)[list(numbers)].max()), ".4g"))
    print("(the largest of each layer's experts)")
    active = pd.DataFrame(
        side_by_side(lambda at: _active(trace, at, options), len(trace.layers), options.jobs), columns=ACTIVE
    )
    active["share_sum"] = frame.groupby("layer")["share"].sum().to_numpy()
    print(f"\nExperts with a token in a batch, and the sum of a layer's shares\n{aligned(*cells(active), '.4g')}")
    if options.pairs:
        print(f"\n{_pairs(trace, options.pairs)}")
    if options.plots:
        options.plots.mkdir(parents=True, exist_ok=True)
        batches = {f"layer {layer}": trace.batches(at, options.batch) for at, layer in enumerate(trace.layers)}
        frequency_curves(options.plots / "frequencies.png", batches)
        coactivation_map(options.plots / "coactivation.png", coactivation(trace.choices[0], trace.experts))
        print(f"plots: {options.plots}")
    return 0


def _active(trace: RoutingTrace, at: int, options: argparse.Namespace) -> tuple:
    """A line of ACTIVE: of the layer's batches."""
    active = active_experts(trace.batches(at, options.batch, seed=options.seed))
    return trace.layers[at], len(active), float(active.mean()), int(active.min()), int(active.max())


def _pairs(trace: RoutingTrace, path: Path) -> str:
    """Write the tokens of each pair of experts; a line for each layer on what they are."""
    layers, told = [], []
    for layer, choices in zip(trace.layers, trace.choices, strict=True):
        together = coactivation(choices, trace.experts)
        layers.append(together)
        count = np.bincount(np.asarray(choices).ravel(), minlength=trace.experts)
        one, other = divmod(int(together.argmax()), trace.experts)
        chance = count[one] * count[other] / trace.tokens
        rows = (together.sum(axis=1) == (choices.shape[1] - 1) * count).all()
        told.append(
            f"layer {layer}: together most, experts {one} and {other} in {together.max()} tokens, "
            f"{together.max() / chance:.2f} times what chance gives; symmetric {_yes((together == together.T).all())}, "
            f"diagonal 0 {_yes(not together.diagonal().any())}, sum of a row is (k - 1) x count {_yes(rows)}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.stack(layers))
    return "\n".join([*told, f"pairs: {path}"])


def _yes(true: bool) -> str:
    return "yes" if true else "no"


def count(options: argparse.Namespace) -> int:
    """Count and write hotness."""
    hotness = hotness_of(open_trace(options), options.batch)
    write_hotness(options.output, f"{options.model}/{options.dataset}", hotness)
    shape = " x ".join(map(str, hotness.shape))
    print(f"hotness: {shape} (iterations, layers, experts), written to {options.output}")
    return 0
